#!/usr/bin/env bash
# Installs the servers that tests start: Redis, PostgreSQL, MariaDB, Mosquitto, RabbitMQ,
# Dovecot, Docker with Compose, its registry and Kubernetes' network, and OpenSSH, from Debian, Kafka, Artemis and ElasticMQ from Maven Central, NATS, etcd, gofakes3, Cosign, Helm and Kubernetes from their Go
# modules, Debian's packages for machines of the other kind, moto from PyPI, kinesis-local and oidc-provider from npm. What has been fetched is kept outside the clone, by version;
# with everything there this needs no network and takes no time. No service is started.
#
# Kafka: the newest version whose modules are all published and that runs on
# Java 17. Look into tools/kafka/pom.xml, tools/artemis/pom.xml, tools/nats/go.mod,
# tools/kinesis, tools/oidc and tools/s3 for the versions; etcd's is that of the store in go.mod.
#
# Chromium, from Debian, and the tools of the dashboard, from npm, are for its tests.
#
# Schemathesis, from PyPI, is no server: it asks the API what its document allows
# and does not allow, and looks at the answers. Nor is AsyncAPI's own schema, from
# npm, by which tests check the documents that are written, nor are those of
# CycloneDX, from npm too.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'servers: %s\n' "$*" >&2; }

packages=()
need() { [ -x "$2" ] || packages+=("$1"); } # need PACKAGE PROGRAM
need redis-server /usr/bin/redis-server
need mosquitto /usr/sbin/mosquitto
need postgresql /usr/lib/postgresql/15/bin/postgres
need mariadb-server-core /usr/sbin/mariadbd
need rabbitmq-server /usr/lib/rabbitmq/bin/rabbitmq-server
need dovecot-imapd /usr/lib/dovecot/imap
need docker-registry /usr/bin/docker-registry
need iproute2 /sbin/ip
need iptables /usr/sbin/iptables
need conntrack /usr/sbin/conntrack
need containernetworking-plugins /usr/lib/cni/bridge
need docker-compose /usr/bin/docker-compose
need openssh-client /usr/bin/ssh
need openssh-server /usr/sbin/sshd
[ -x /usr/bin/dockerd ] || need docker.io /usr/sbin/dockerd # Docker's own packages have it elsewhere
need chromium /usr/bin/chromium
# Images for machines of the other kind: what emulates them, and compiles for them.
if [ "$(uname -m)" = aarch64 ]; then other=amd64 gnu=x86_64; else other=arm64 gnu=aarch64; fi
need qemu-user-static "/usr/bin/qemu-$gnu-static"
need "gcc-${gnu/_/-}-linux-gnu" "/usr/bin/$gnu-linux-gnu-gcc"
[ -e "/usr/$gnu-linux-gnu/include/stdio.h" ] || packages+=("libc6-dev-$other-cross")
[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || packages+=(fonts-dejavu-core)
command -v java >/dev/null || packages+=(default-jre-headless)

# The same places as test/servers/installed.go looks in.
cache=${MYELIN_SERVERS:-}
if [ -z "$cache" ]; then
  if [ "$(id -u)" = 0 ]; then cache=/var/cache/myelin/servers; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/myelin/servers; fi
fi
there() { [ -e "$cache/$1" ] || { [ -z "${MYELIN_SERVERS:-}" ] && [ -e "/var/cache/myelin/servers/$1" ]; }; }

kafka=kafka-$(sed -n '/kafka_2.13/{n;s/.*<version>\(.*\)<.*/\1/p}' tools/kafka/pom.xml)
artemis=artemis-$(sed -n '/artemis-server/{n;s/.*<version>\(.*\)<.*/\1/p}' tools/artemis/pom.xml)
schemathesis=schemathesis-$(sed -n 's/.*SchemathesisVersion = "\(.*\)".*/\1/p' test/servers/schemathesis.go)
asyncapi=asyncapi-$(sed -n 's/.*asyncAPIRelease = "\(.*\)".*/\1/p' test/servers/asyncapi.go)
cyclonedx=cyclonedx-$(sed -n 's/.*cycloneDXRelease = "\(.*\)".*/\1/p' test/servers/cyclonedx.go)
elasticmq=elasticmq-$(sed -n '/elasticmq-server_2.13/{n;s/.*<version>\(.*\)<.*/\1/p}' tools/elasticmq/pom.xml)
kinesis=kinesis-$(sed -n 's/.*"kinesis-local": "\(.*\)".*/\1/p' tools/kinesis/package.json)
oidc=oidc-$(sed -n 's/.*"oidc-provider": "\(.*\)".*/\1/p' tools/oidc/package.json)
nats=nats-server-$(awk '$1=="github.com/nats-io/nats-server/v2"{print $2}' tools/nats/go.mod)
etcd=etcd-$(awk '$1=="go.etcd.io/etcd/server/v3"{print $2}' go.mod)
kubernetes=kubernetes-$(awk '$1=="k8s.io/kubernetes"{print $2}' tools/kubernetes/go.mod)-$(cat tools/kubernetes/go.mod tools/kubernetes/go.sum tools/kubernetes/main.go tools/kubernetes/pause/main.go | sha256sum | cut -c1-8)
gofakes3=gofakes3-$(awk '$2=="github.com/johannesboyne/gofakes3"{print $3}' tools/s3/go.mod)
cosign=cosign-$(awk '$1=="github.com/sigstore/cosign/v2"{print $2}' tools/cosign/go.mod)-$(cat tools/cosign/go.mod tools/cosign/go.sum tools/cosign/main.go | sha256sum | cut -c1-8)
helm=helm-$(awk '$1=="helm.sh/helm/v4"{print $2}' tools/helm/go.mod)-$(cat tools/helm/go.mod tools/helm/go.sum | sha256sum | cut -c1-8)
foreign=debian-$(. /etc/os-release && echo "$VERSION_ID")-$other
moto=moto-$(sed -n 's/^moto==//p' tools/s3/requirements.txt)
{ there "$kafka" && there "$artemis" && there "$elasticmq"; } || command -v mvn >/dev/null || packages+=(maven)
there "$artemis" || command -v javac >/dev/null || packages+=(default-jdk-headless)
[ ${#packages[@]} = 0 ] || scripts/packages.sh "${packages[@]}"

if ! there "$kafka" || ! there "$artemis" || ! there "$elasticmq" || ! there "$nats" || ! there "$schemathesis" || ! there "$etcd" || ! there "$gofakes3" || ! there "$moto" || ! there "$asyncapi" || ! there "$cyclonedx" || ! there "$kinesis" || ! there "$kubernetes" || ! there "$oidc" || ! there "$foreign" || ! there "$cosign" || ! there "$helm"; then
  command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
fi
if ! there "$kafka"; then
  say "fetching $kafka"
  # -C: a wrong checksum is an error. Maven writes nothing into the clone.
  mvn -q -B -C -f tools/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work/kafka" >&2
  mv -T "$work/kafka" "$cache/$kafka" || there "$kafka" # another run may have been first
fi
if ! there "$artemis"; then
  say "fetching $artemis"
  mvn -q -B -C -f tools/artemis/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work/artemis" >&2
  javac -cp "$work/artemis/*" -d "$work/artemis" tools/artemis/Start.java
  mv -T "$work/artemis" "$cache/$artemis" || there "$artemis"
fi
if ! there "$elasticmq"; then
  say "fetching $elasticmq"
  mvn -q -B -C -f tools/elasticmq/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work/elasticmq" >&2
  mv -T "$work/elasticmq" "$cache/$elasticmq" || there "$elasticmq"
fi
if ! there "$nats"; then
  say "building $nats"
  CGO_ENABLED=0 go build -C tools/nats -trimpath -o "$work/nats-server" github.com/nats-io/nats-server/v2
  mv -T "$work/nats-server" "$cache/$nats"
fi
if ! there "$etcd"; then
  say "building $etcd"
  go build -o "$work/etcd" go.etcd.io/etcd/server/v3 # of packages that the store has, too
  mv -T "$work/etcd" "$cache/$etcd"
fi
if ! there "$kubernetes"; then
  say "building $kubernetes, which takes some minutes"
  mkdir "$work/kubernetes"
  version=${kubernetes#kubernetes-} version=${version%-*} flags="-s -w"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do # which else say v0.0.0
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<"$version") -X $package.gitTreeState=clean"
  done
  CGO_ENABLED=0 go build -C tools/kubernetes -trimpath -ldflags "$flags" -o "$work/kubernetes/hyperkube" .
  CGO_ENABLED=0 go build -C tools/kubernetes -trimpath -ldflags "-s -w" -o "$work/kubernetes/pause" ./pause
  mv -T "$work/kubernetes" "$cache/$kubernetes" || there "$kubernetes"
fi
if ! there "$gofakes3"; then
  say "building $gofakes3"
  CGO_ENABLED=0 go build -C tools/s3 -trimpath -o "$work/gofakes3" github.com/johannesboyne/gofakes3/cmd/gofakes3
  mv -T "$work/gofakes3" "$cache/$gofakes3"
fi
if ! there "$cosign"; then
  say "building $cosign"
  CGO_ENABLED=0 go build -C tools/cosign -trimpath -ldflags "-s -w" -o "$work/cosign" .
  mv -T "$work/cosign" "$cache/$cosign"
fi
if ! there "$helm"; then
  say "building $helm"
  CGO_ENABLED=0 go build -C tools/helm -trimpath -ldflags "-s -w" -o "$work/helm" helm.sh/helm/v4/cmd/helm # of packages that Kubernetes has, too
  mv -T "$work/helm" "$cache/$helm"
fi
if ! there "$foreign"; then
  say "fetching $foreign"
  for runtime in python nodejs; do
    go run ./cmd/myelin --data "$work/data" base "$runtime" --architecture "$other" -o "oci:$work/base-$runtime" >&2
  done
  rm "$work/data/cache/debian/$other"/cache/*.bin # apt makes them of its lists
  mv -T "$work/data/cache/debian/$other" "$cache/$foreign" || there "$foreign"
fi
if ! there "$moto"; then
  say "fetching $moto"
  /usr/bin/python3 -m venv "$work/moto"
  "$work/moto/bin/pip" install -q --disable-pip-version-check -r tools/s3/requirements.txt >&2
  rm -rf "$work/moto"/bin/pip*
  mv -T "$work/moto" "$cache/$moto" || there "$moto"
fi
if ! there "$kinesis"; then
  say "fetching $kinesis"
  mkdir "$work/kinesis"
  cp tools/kinesis/package.json tools/kinesis/package-lock.json "$work/kinesis"
  npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$work/kinesis" >&2
  rm -f "$work"/kinesis/node_modules/kinesis-local/*.map # nobody looks into it
  mv -T "$work/kinesis" "$cache/$kinesis" || there "$kinesis"
fi
if ! there "$oidc"; then
  say "fetching $oidc"
  mkdir "$work/oidc"
  cp tools/oidc/package.json tools/oidc/package-lock.json "$work/oidc"
  npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$work/oidc" >&2
  mv -T "$work/oidc" "$cache/$oidc" || there "$oidc"
fi
if ! there "$schemathesis"; then
  say "fetching $schemathesis"
  /usr/bin/python3 -m venv "$work/schemathesis"
  "$work/schemathesis/bin/pip" install -q --disable-pip-version-check "${schemathesis/-/==}" >&2
  rm -rf "$work/schemathesis"/bin/pip* # its programs know the place where it was made; python -m does not
  mv -T "$work/schemathesis" "$cache/$schemathesis" || there "$schemathesis"
fi
if ! there "$asyncapi"; then
  say "fetching $asyncapi"
  mkdir "$work/asyncapi" "$work/specs"
  (cd "$work" && npm pack --silent "@asyncapi/specs@${asyncapi#asyncapi-}" >/dev/null && tar -xzf asyncapi-specs-*.tgz -C specs)
  mv "$work/specs/package/schemas/3.0.0.json" "$work/specs/package/LICENSE" "$work/asyncapi"
  mv -T "$work/asyncapi" "$cache/$asyncapi" || there "$asyncapi"
fi
if ! there "$cyclonedx"; then
  say "fetching $cyclonedx"
  mkdir "$work/cyclonedx" "$work/library"
  (cd "$work" && npm pack --silent "@cyclonedx/cyclonedx-library@${cyclonedx#cyclonedx-}" >/dev/null && tar -xzf cyclonedx-*.tgz -C library)
  mv "$work/library/package/res/schema" "$work/library/package/LICENSE" "$work/cyclonedx"
  mv -T "$work/cyclonedx" "$cache/$cyclonedx" || there "$cyclonedx"
fi
scripts/dashboard.sh install
