package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// NewKeys writes a new pair of keys, ECDSA on P-256: the private one to path.key,
// which only its owner reads, and the public one to path.pub. Files that are
// there are left alone, and then neither is written.
func NewKeys(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	if err := writeNew(path+".key", "PRIVATE KEY", private, 0o600); err != nil {
		return err
	}
	if err := writeNew(path+".pub", "PUBLIC KEY", public, 0o644); err != nil {
		return errors.Join(err, os.Remove(path+".key")) // one half is of no use, and in the way of the next attempt
	}
	return nil
}

func writeNew(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err == nil {
		_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}

// ReadPrivate reads a private key of ECDSA or Ed25519, in PEM as of PKCS 8.
func ReadPrivate(path string) (crypto.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("read key: %s has no private key in PEM (PKCS 8, not encrypted); make one with `myelin keys new`", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("read key %s: it is neither of ECDSA nor of Ed25519", path)
}

// Key is a public key.
type Key struct {
	public crypto.PublicKey
	name   string // its file
}

// ReadPublic reads the public keys of a file in PEM, at least one.
func ReadPublic(path string) (keys []Key, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if keys, err = parsePublic(text, path); err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return keys, nil
}

func parsePublic(text []byte, name string) (keys []Key, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("it has a %s instead of a public key", block.Type)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		switch public.(type) {
		case *ecdsa.PublicKey, ed25519.PublicKey:
			keys = append(keys, Key{public, name})
		default:
			return nil, errors.New("it is neither of ECDSA nor of Ed25519")
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no public key in PEM")
	}
	return keys, nil
}

// made tells whether the owner of the key made sig over payload.
func (k Key) made(payload, sig []byte) bool {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(payload)
		return ecdsa.VerifyASN1(public, sum[:], sig)
	case ed25519.PublicKey:
		return ed25519.Verify(public, payload, sig)
	}
	return false
}

// sign makes what [Key.made] takes.
func sign(key crypto.Signer, payload []byte) ([]byte, error) {
	if _, ok := key.(ed25519.PrivateKey); ok {
		return key.Sign(rand.Reader, payload, crypto.Hash(0))
	}
	sum := sha256.Sum256(payload)
	return key.Sign(rand.Reader, sum[:], crypto.SHA256)
}
