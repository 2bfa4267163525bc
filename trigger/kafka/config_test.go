package kafka

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// made builds a trigger as a processor does.
func made(attributes, kind string, spec function.Trigger) error {
	f, err := trigger.NewSet(Factory()).Lookup(kind)
	if err != nil {
		return err
	}
	_, err = f.New(trigger.Settings{Name: "t", Spec: spec}, json.RawMessage(attributes))
	return err
}

// A spec of Nuclio, with all of its names, is taken as it is.
func TestNuclioSpec(t *testing.T) {
	err := made(`{
		"brokers": ["kafka-1:9092", "kafka-2:9092"], "topics": ["a", "b"], "consumerGroup": "g", "initialOffset": "latest",
		"balanceStrategy": "range", "sessionTimeout": "10s", "heartbeatInterval": "3s", "maxProcessingTime": "5m",
		"rebalanceTimeout": "60s", "rebalanceRetryMax": 4, "rebalanceRetryBackoff": "2s", "retryBackoff": "2s",
		"maxWaitTime": "250ms", "maxWaitHandlerDuringRebalance": "5s", "workerAllocationMode": "pool", "fetchMin": 1,
		"fetchDefault": 1048576, "fetchMax": 0, "channelBufferSize": 256, "ackWindowSize": 10, "logLevel": 0, "version": "2.4",
		"sasl": {"enable": true, "handshake": true, "user": "u", "password": "p", "mechanism": "plain"},
		"tls": {"enable": false, "insecureSkipVerify": true, "minimumVersion": "1.2"}, "caCert": "", "secretPath": "/x"}`,
		NuclioKind, function.Trigger{})
	if err != nil {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	const good = `"topics": ["a"], "consumerGroup": "g", "brokers": ["b:1"]`
	for attributes, want := range map[string]string{
		`{"consumerGroup": "g", "brokers": ["b:1"]}`:                                  "topics: is required",
		`{"topics": ["a"], "brokers": ["b:1"]}`:                                       "consumerGroup: is required",
		`{"topics": ["a"], "consumerGroup": "g"}`:                                     "brokers: is required",
		`{"topics": ["a", "b c"], "consumerGroup": "g", "brokers": ["b:1"]}`:          `topics[1]: "b c" is no topic`,
		`{"topics": ["^("], "consumerGroup": "g", "brokers": ["b:1"]}`:                "topics[0]: error parsing regexp",
		`{"topics": ["a"], "consumerGroup": "g", "brokers": ["b"]}`:                   `brokers[0]: "b" is not host:port`,
		`{` + good + `, "topic": "a"}`:                                                "unknown field topic",
		`{` + good + `, "initialOffset": "first"}`:                                    "initialOffset",
		`{` + good + `, "outOfRange": "skip"}`:                                        "outOfRange",
		`{` + good + `, "isolationLevel": "committed"}`:                               "isolationLevel",
		`{` + good + `, "groupProtocol": "new"}`:                                      "groupProtocol",
		`{` + good + `, "balanceStrategy": "stiky"}`:                                  "did you mean",
		`{` + good + `, "sessionTimeout": "1s"}`:                                      "heartbeatInterval: is 3s",
		`{` + good + `, "sessionTimeout": "-1s"}`:                                     "sessionTimeout",
		`{` + good + `, "fetchDefault": "2Gi"}`:                                       "fetchDefault",
		`{` + good + `, "sasl": {"mechanism": "GSSAPI"}}`:                             "sasl.mechanism",
		`{` + good + `, "sasl": {"user": "u", "password": "***"}}`:                    "sasl.password",
		`{` + good + `, "sasl": {"user": "u", "password": "p", "passwordFile": "f"}}`: "sasl.passwordFile",
		`{` + good + `, "sasl": {"password": "p"}}`:                                   "sasl.user: is required",
		`{` + good + `, "sasl": {"mechanism": "OAUTHBEARER"}}`:                        "sasl.oauth",
		`{` + good + `, "tls": {"certFile": "c"}}`:                                    "tls.certFile",
		`{` + good + `, "tls": {"minimumVersion": "1.0"}}`:                            "tls.minimumVersion",
	} {
		if err := made(attributes, Kind, function.Trigger{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", attributes, err, want)
		}
	}
	if err := made(`{"topics": ["a"], "consumerGroup": "g"}`, Kind, function.Trigger{URL: "kafka://b:1, c:2"}); err != nil {
		t.Errorf("url: %v", err)
	}
	if err := made(`{"topics": ["a"], "consumerGroup": "g"}`, Kind, function.Trigger{URL: "b"}); err == nil || !strings.Contains(err.Error(), "url") {
		t.Errorf("a url without a port: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(`{"topics": ["^a"], "consumerGroup": "g", "brokers": ["b:1"], "sasl": {"user": "u"}, "tls": {}}`)
	f.Fuzz(func(_ *testing.T, attributes string) { _ = made(attributes, Kind, function.Trigger{}) })
}
