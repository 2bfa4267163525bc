package kube

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// What is kept about a deployment, on its objects.
const (
	labelOwner = "myelin.run/owner"      // whose it is
	labelID    = "myelin.run/deployment" // which deployment, by its objects' name

	noteName        = "myelin.run/name"        // of the deployment, as the control plane calls it
	noteFingerprint = "myelin.run/fingerprint" // of what a pod runs
	noteArtefact    = "myelin.run/artefact"    // that a pod runs
	noteShares      = "myelin.run/shares"      // with which replicas are started
	noteElastic     = "myelin.run/autoscaler"  // that it has one, and who says how many replicas there are
	noteReady       = "myelin.run/ready"       // fingerprint of the newest that got ready
)

// slugLength is how much of a deployment's name is in that of its objects, which is
// a DNS label with a prefix, a hash and room for what ReplicaSets and pods append.
const slugLength = 30

// idOf is what the objects of a deployment are called. Platforms that share a
// namespace do not share names.
func (p *Platform) idOf(name string) string {
	sum := sha256.Sum256([]byte(p.owner + "/" + name))
	slug := strings.Trim(strings.ReplaceAll(name[:min(len(name), slugLength)], ".", "-"), "-")
	return "fn-" + slug + "-" + hex.EncodeToString(sum[:4])
}

// secretOf is what the Secret of a version is called.
func secretOf(id, fingerprint string) string {
	sum := sha256.Sum256([]byte(fingerprint))
	return id + "-" + hex.EncodeToString(sum[:4])
}

// tokenOf proves to the processors of a deployment who asks them. It is the same
// for all of its versions, and needs no place but the key.
func (p *Platform) tokenOf(id string) string {
	h := hmac.New(sha256.New, p.o.Key)
	h.Write([]byte("admin " + id))
	return hex.EncodeToString(h.Sum(nil))
}

// labels are those of all objects of a deployment.
func (p *Platform) labels(id string) map[string]string {
	return map[string]string{labelOwner: p.owner, labelID: id, "app.kubernetes.io/managed-by": "myelin"}
}
