package kafka

import (
	"errors"
	"fmt"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

// eventHub is what Nuclio's trigger for Azure Event Hubs has for attributes.
type eventHub struct {
	SharedAccessKeyName  string          `json:"sharedAccessKeyName,omitempty"`
	SharedAccessKeyValue quantity.Secret `json:"sharedAccessKeyValue,omitempty"`
	Namespace            string          `json:"namespace,omitempty"`
	EventHubName         string          `json:"eventHubName,omitempty"`
	ConsumerGroup        string          `json:"consumerGroup,omitempty"`
	Partitions           []int           `json:"partitions,omitempty"`
}

// EventHub makes no triggers: it says what to write instead of Nuclio's kind.
func EventHub() trigger.Factory {
	return component.Define("eventhub", "Is refused: Azure Event Hubs is read by the kind kafka.", func() eventHub { return eventHub{} }, refuse)
}

func refuse(_ trigger.Settings, e eventHub) (trigger.Trigger, error) {
	if e.Namespace == "" {
		e.Namespace = "NAMESPACE"
	}
	if e.EventHubName == "" {
		e.EventHubName = "EVENTHUB"
	}
	instead := fmt.Sprintf("kind kafka, url %s.servicebus.windows.net:9093, topics [%s], username $ConnectionString, the connection string as password, tls {}", e.Namespace, e.EventHubName)
	return nil, errors.New("events of Azure Event Hubs come by its Kafka endpoint: " + instead + "; see docs/triggers/event-hubs.md")
}
