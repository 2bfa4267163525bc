package main

import (
	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/file"
	"github.com/myelin-run/myelin/binding/kv/embedded"
	kvetcd "github.com/myelin-run/myelin/binding/kv/etcd"
	kvnats "github.com/myelin-run/myelin/binding/kv/nats"
	kvredis "github.com/myelin-run/myelin/binding/kv/redis"
	"github.com/myelin-run/myelin/binding/object/directory"
	"github.com/myelin-run/myelin/binding/object/s3"
	streamkafka "github.com/myelin-run/myelin/binding/stream/kafka"
	streammqtt "github.com/myelin-run/myelin/binding/stream/mqtt"
	streamnats "github.com/myelin-run/myelin/binding/stream/nats"
	streamrabbitmq "github.com/myelin-run/myelin/binding/stream/rabbitmq"
	streamredis "github.com/myelin-run/myelin/binding/stream/redis"
	"github.com/myelin-run/myelin/binding/table/mysql"
	"github.com/myelin-run/myelin/binding/table/postgresql"
	"github.com/myelin-run/myelin/binding/table/sqlite"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/java"
	"github.com/myelin-run/myelin/runtime/nodejs"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/runtime/shell"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/cron"
	"github.com/myelin-run/myelin/trigger/files"
	"github.com/myelin-run/myelin/trigger/grpc"
	"github.com/myelin-run/myelin/trigger/http"
	"github.com/myelin-run/myelin/trigger/imap"
	"github.com/myelin-run/myelin/trigger/jetstream"
	"github.com/myelin-run/myelin/trigger/kafka"
	"github.com/myelin-run/myelin/trigger/kinesis"
	"github.com/myelin-run/myelin/trigger/mqtt"
	"github.com/myelin-run/myelin/trigger/nats"
	"github.com/myelin-run/myelin/trigger/outbox"
	"github.com/myelin-run/myelin/trigger/rabbitmq"
	"github.com/myelin-run/myelin/trigger/redis"
	"github.com/myelin-run/myelin/trigger/redislist"
	"github.com/myelin-run/myelin/trigger/redispubsub"
	"github.com/myelin-run/myelin/trigger/replication"
	triggers3 "github.com/myelin-run/myelin/trigger/s3"
	"github.com/myelin-run/myelin/trigger/smtp"
	"github.com/myelin-run/myelin/trigger/sql"
	"github.com/myelin-run/myelin/trigger/sqs"
	"github.com/myelin-run/myelin/trigger/v3io"
)

var triggers = trigger.NewSet(
	http.Factory(),
	cron.Factory(),
	grpc.Factory(),
	smtp.Factory(),
	imap.Factory(),
	kafka.Factory(),
	kafka.EventHub(),
	rabbitmq.Factory(),
	redis.Factory(),
	redislist.Factory(),
	redispubsub.Factory(),
	replication.Factory(),
	nats.Factory(),
	jetstream.Factory(),
	mqtt.Factory(),
	sql.Factory(),
	sqs.Factory(),
	kinesis.Factory(),
	outbox.Factory(),
	files.Factory(),
	triggers3.Factory(),
	v3io.Factory(),
)

var bindings = binding.NewSet(
	directory.Factory(),
	embedded.Factory(),
	file.Over(directory.Factory()),
	file.Over(s3.Factory()),
	kvetcd.Factory(),
	kvnats.Factory(),
	kvredis.Factory(),
	mysql.Factory(),
	postgresql.Factory(),
	s3.Factory(),
	sqlite.Factory(),
	streamkafka.Factory(),
	streammqtt.Factory(),
	streamnats.Factory(),
	streamrabbitmq.Factory(),
	streamredis.Factory(),
)

var runtimes = runtime.NewSet(
	java.Factory(),
	nodejs.Factory(),
	python.Factory(),
	shell.Factory(),
)
