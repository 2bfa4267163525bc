// Package sealed keeps the values of a store encrypted: it stands before any
// other store, seals what is written and opens what is read. Keys of entries,
// their number and their sizes are not hidden. It knows nothing of what is
// stored, nor by what.
package sealed

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Keys are the keys of a key file: the first one seals, all of them open. They
// may be used from any goroutine.
type Keys struct {
	path string

	mu   sync.RWMutex
	list []key
}

type key struct {
	id   keyID
	raw  []byte
	aead cipher.AEAD
}

// keyID follows from the key, and so a key that was mistyped is noticed.
type keyID [4]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }

const (
	keyBytes = 32
	keyWord  = "myelin-key-1"
	keyHead  = "# Keys of the control plane's store: the first one seals, all of them open. Without them\n" +
		"# the store cannot be read: keep a copy elsewhere, and let nobody else read it.\n"
	// maxKeys are kept when a new one is made: older ones seal nothing any more.
	maxKeys = 3
)

// LoadKeys reads the key file at path, and makes it with a first key if there
// is none and create is set. A file that others may read is refused.
func LoadKeys(path string, create bool) (*Keys, error) {
	k := &Keys{path: path}
	text, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		_, err = k.Add()
		return k, err
	}
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if k.list, err = parseKeys(text); err != nil {
		return nil, fmt.Errorf("read key file %s: %w", path, err)
	}
	return k, nil
}

// readPrivate reads a file that belongs to its owner alone.
func readPrivate(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others (mode %04o): chmod 600 %s", path, st.Mode().Perm(), path)
	}
	return os.ReadFile(path)
}

func parseKeys(text []byte) ([]key, error) {
	var out []key
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != keyWord {
			return nil, fmt.Errorf("line %d is no key: want %s, its id and the key", n, keyWord)
		}
		raw, err := base64.StdEncoding.DecodeString(f[2])
		if err != nil || len(raw) != keyBytes {
			return nil, fmt.Errorf("line %d: the key is not %d bytes in base64", n, keyBytes)
		}
		k, err := newKey(raw)
		if err != nil {
			return nil, err
		}
		if k.id.String() != f[1] {
			return nil, fmt.Errorf("line %d: the key does not fit its id %s", n, f[1])
		}
		out = append(out, k)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return out, nil
}

func newKey(raw []byte) (key, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return key{}, err
	}
	sum := sha256.Sum256(append([]byte("id of key "), raw...))
	return key{id: keyID(sum[:4]), raw: raw, aead: aead}, nil
}

// Add makes a new key the first one, and returns its id. The file has it
// before anything is sealed with it.
func (k *Keys) Add() (string, error) {
	raw := make([]byte, keyBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	fresh, err := newKey(raw)
	if err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	list := append([]key{fresh}, k.list...)
	list = list[:min(len(list), maxKeys)]
	var b bytes.Buffer
	b.WriteString(keyHead)
	for _, x := range list {
		fmt.Fprintf(&b, "%s %s %s\n", keyWord, x.id, base64.StdEncoding.EncodeToString(x.raw))
	}
	if err := replace(k.path, b.Bytes()); err != nil {
		return "", fmt.Errorf("write key file: %w", err)
	}
	k.list = list
	return fresh.id.String(), nil
}

// Path is where the key file lies.
func (k *Keys) Path() string { return k.path }

func (k *Keys) first() key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.list[0]
}

func (k *Keys) find(id keyID) (key, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, x := range k.list {
		if x.id == id {
			return x, true
		}
	}
	return key{}, false
}

// replace writes a private file whole or not at all, so that it outlives a
// power cut.
func replace(path string, text []byte) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".key") // of mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
