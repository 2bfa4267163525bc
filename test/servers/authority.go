package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs the certificates of one cluster, and writes them to a directory as
// NAME.crt and NAME.key; its own is ca.crt.
type authority struct {
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(dir string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &authority{dir: dir}
	a.cert = a.blank(pkix.Name{CommonName: "test authority"})
	a.cert.IsCA, a.cert.BasicConstraintsValid = true, true
	a.cert.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if err := a.write("ca", a.cert, a.key); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(a.path("ca.crt"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	a.cert, err = x509.ParseCertificate(block.Bytes)
	return a, err
}

func (a *authority) blank(name pkix.Name) *x509.Certificate {
	a.serial++
	return &x509.Certificate{SerialNumber: big.NewInt(a.serial), Subject: name,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
}

// client makes a certificate of a user who is in a group; "" for none.
func (a *authority) client(file, user, group string) error {
	name := pkix.Name{CommonName: user}
	if group != "" {
		name.Organization = []string{group}
	}
	c := a.blank(name)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(file, c)
}

// server makes a certificate of a server with these names and addresses.
func (a *authority) server(file string, names []string, addresses ...net.IP) error {
	c := a.blank(pkix.Name{CommonName: names[0]})
	c.DNSNames, c.IPAddresses = names, addresses
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.issue(file, c)
}

func (a *authority) issue(file string, c *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c.KeyUsage = x509.KeyUsageDigitalSignature
	return a.write(file, c, key)
}

func (a *authority) write(file string, c *x509.Certificate, key *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(a.put(file+".crt", "CERTIFICATE", der), a.put(file+".key", "PRIVATE KEY", private))
}

// signer writes a pair of keys without a certificate: NAME.key and NAME.pub.
func (a *authority) signer(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return errors.Join(a.put(file+".key", "EC PRIVATE KEY", private), a.put(file+".pub", "PUBLIC KEY", public))
}

func (a *authority) put(file, kind string, der []byte) error {
	return os.WriteFile(a.path(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (a *authority) path(file string) string { return filepath.Join(a.dir, file) }
