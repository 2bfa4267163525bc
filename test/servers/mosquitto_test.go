package servers

import (
	"crypto/tls"
	"net"
	"os"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

func mqttClient(t *testing.T, s *Server, password string) (mqtt.Client, error) {
	t.Helper()
	scheme := "tcp://"
	if s.TLS != nil {
		scheme = "ssl://"
	}
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(scheme + s.Addr).SetClientID("three").SetTLSConfig(s.TLS).
		SetUsername(s.User).SetPassword(password).SetAutoReconnect(false).SetConnectTimeout(10 * time.Second))
	token := c.Connect()
	token.Wait()
	t.Cleanup(func() { c.Disconnect(0) })
	return c, token.Error()
}

func putMQTT(t *testing.T, s *Server) {
	t.Helper()
	c, err := mqttClient(t, s, s.Password)
	check(t, err)
	token := c.Publish("a/b", 1, true, "v")
	token.Wait()
	check(t, token.Error())
}

func putMosquitto(t *testing.T, s *Server) {
	putMQTT(t, s)
	until := time.Now().Add(30 * time.Second)
	for { // it saves a moment later
		if info, err := os.Stat(s.path("data/mosquitto.db")); err == nil && info.Size() > 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatal("mosquitto does not save")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// lookMQTT reads the retained message with MQTT 3.1.1 and 5.
func lookMQTT(t *testing.T, s *Server) {
	t.Helper()
	c, err := mqttClient(t, s, s.Password)
	check(t, err)
	got := make(chan string, 2)
	token := c.Subscribe("a/#", 1, func(_ mqtt.Client, m mqtt.Message) { got <- string(m.Payload()) })
	token.Wait()
	check(t, token.Error())
	five(t, s, got)
	for range 2 {
		select {
		case v := <-got:
			if v != "v" {
				t.Fatalf("got %q", v)
			}
		case <-limit(t).Done():
			t.Fatal("no retained message")
		}
	}
}

func five(t *testing.T, s *Server, got chan<- string) {
	t.Helper()
	var conn net.Conn
	var err error
	if s.TLS != nil {
		conn, err = tls.Dial("tcp", s.Addr, s.TLS)
	} else {
		conn, err = net.Dial("tcp", s.Addr)
	}
	check(t, err)
	c := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn), OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(m paho.PublishReceived) (bool, error) { got <- string(m.Packet.Payload); return true, nil },
	}})
	t.Cleanup(func() { conn.Close() })
	_, err = c.Connect(limit(t), &paho.Connect{ClientID: "five", CleanStart: true, KeepAlive: 30,
		UsernameFlag: s.User != "", Username: s.User, PasswordFlag: s.User != "", Password: []byte(s.Password)})
	check(t, err)
	_, err = c.Subscribe(limit(t), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "a/#", QoS: 1}}})
	check(t, err)
}

func TestMosquitto(t *testing.T) { lasts(t, took(t, Mosquitto), putMosquitto, lookMQTT) }

func TestMosquittoLogin(t *testing.T) {
	s := took(t, Mosquitto, Login("ann", "secret"), WithTLS())
	lasts(t, s, putMosquitto, lookMQTT)
	if _, err := mqttClient(t, s, "wrong"); err == nil {
		t.Error("a wrong password is let in")
	}
}

func TestArtemis(t *testing.T) { lasts(t, took(t, Artemis), putMQTT, lookMQTT) }
