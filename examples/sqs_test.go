package examples_test

import (
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
)

func TestSQSExample(t *testing.T) {
	url := "http://KEY@" + servers.ElasticMQ(t).Addr
	at, err := amazon.At(trigger.Settings{Spec: function.Trigger{URL: url, Secret: "secret"}}, amazon.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	c, err := at.Open(amazon.Service{Name: "sqs", Target: "AmazonSQS", JSON: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	call := func(action string, in map[string]any) (out struct {
		QueueUrl string
		Messages []struct{ Body string }
	}) {
		t.Helper()
		if err := c.Call(t.Context(), action, patience, in, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	orders := call("CreateQueue", map[string]any{"QueueName": "orders"}).QueueUrl
	failed := call("CreateQueue", map[string]any{"QueueName": "orders-failed"}).QueueUrl
	log := polls(t, "sqs-python", "orders", func(at *function.Trigger) { at.URL = url })
	for _, body := range []string{`{"item": "air", "count": 0}`, `{"item": "tea", "count": 2}`} {
		call("SendMessage", map[string]any{"QueueUrl": orders, "MessageBody": body,
			"MessageAttributes": map[string]any{"customer": map[string]string{"DataType": "String", "StringValue": "Ann"}}})
	}
	eventually(t, "the order", says(log, "2 of tea for Ann"))
	eventually(t, "the failure", func() bool {
		ms := call("ReceiveMessage", map[string]any{"QueueUrl": failed, "WaitTimeSeconds": 1}).Messages
		return len(ms) == 1 && ms[0].Body == `{"item": "air", "count": 0}`
	})
}
