package files

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Processors share a directory by renaming. Below .myelin, each has a directory of
// its own with a file that it locks as long as it lives, and takes a file by moving
// it to a directory in there. What is given back, and what the dead had, is moved to
// back, from where anybody takes it.
//
//	.myelin/owners/<owner>/lock
//	.myelin/owners/<owner>/<claim>-<deliveries>/<file>
//	.myelin/back/<claim>-<deliveries>/<file>
const (
	private = ".myelin"
	owners  = private + "/owners"
	back    = private + "/back"
	lock    = "lock"
)

// claims are the files that one processor has.
type claims struct {
	root *os.Root
	own  string // the directory of this one
	lock *os.File
	next int
	id   string
}

// claim is one of them.
type claim struct {
	dir       string
	name      string
	delivered int // how often before
}

func (c claim) file() string { return c.dir + "/" + c.name }

func unique() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// newClaims makes the directory of a processor. It is locked before it has its
// name, so that nobody takes it for that of a dead one.
func newClaims(root *os.Root) (c *claims, err error) {
	for _, d := range []string{owners, back} {
		if err := root.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	c = &claims{root: root, id: unique()}
	c.own = owners + "/" + c.id
	made := private + "/new-" + c.id
	if err := root.Mkdir(made, 0o700); err != nil {
		return nil, err
	}
	if c.lock, err = root.OpenFile(made+"/"+lock, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, err
	}
	if err = unix.Flock(int(c.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		err = root.Rename(made, c.own)
	}
	if err != nil {
		return nil, errors.Join(err, c.lock.Close())
	}
	return c, nil
}

// slot makes a directory for one more claim.
func (c *claims) slot(delivered int) (string, error) {
	c.next++
	dir := fmt.Sprintf("%s/%s%d-%d", c.own, c.id, c.next, delivered)
	return dir, c.root.Mkdir(dir, 0o700)
}

// take moves a file of the directory to this processor; false if it is gone.
func (c *claims) take(name string) (k claim, ok bool, err error) {
	dir, err := c.slot(0)
	if err != nil {
		return k, false, err
	}
	if err := c.root.Rename(name, dir+"/"+name); err != nil {
		_ = c.root.Remove(dir)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return k, false, err
	}
	return claim{dir: dir, name: name}, true, nil
}

// takeBack takes up to n of those that were given back.
func (c *claims) takeBack(n int) (ks []claim, err error) {
	d, err := c.root.Open(back)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, e := range entries {
		to := c.own + "/" + e.Name()
		if err := c.root.Rename(back+"/"+e.Name(), to); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return ks, err
		}
		name, err := c.only(to)
		if err != nil {
			return ks, err
		}
		if name == "" { // somebody has removed the file
			_ = c.root.Remove(to)
			continue
		}
		ks = append(ks, claim{dir: to, name: name, delivered: deliveries(e.Name())})
	}
	return ks, nil
}

// only is the file in the directory of a claim; "" if there is none.
func (c *claims) only(dir string) (string, error) {
	d, err := c.root.Open(dir)
	if err != nil {
		return "", err
	}
	defer d.Close()
	names, err := d.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// deliveries reads how often a claim was had.
func deliveries(name string) int {
	_, n, _ := strings.Cut(name, "-")
	k, err := strconv.Atoi(n)
	if err != nil || k < 0 {
		return 0
	}
	return k
}

// giveBack lets anybody take a claim.
func (c *claims) giveBack(k claim) error {
	to := fmt.Sprintf("%s/%s%s-%d", back, c.id, unique(), k.delivered)
	return c.root.Rename(k.dir, to)
}

// drop forgets a claim whose file is gone.
func (c *claims) drop(k claim) error { return c.root.RemoveAll(k.dir) }

// inherit gives back what the dead had: those whose lock nobody holds.
func (c *claims) inherit() error {
	d, err := c.root.Open(owners)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if dir := owners + "/" + name; dir != c.own {
			if err := c.inheritFrom(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *claims) inheritFrom(dir string) error {
	f, err := c.root.OpenFile(dir+"/"+lock, os.O_RDWR, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		defer f.Close()
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			return nil // it lives
		}
	}
	return c.leave(dir, 1)
}

// leave gives back all claims of a directory, as delivered so many times more, and
// removes it.
func (c *claims) leave(dir string, more int) error {
	d, err := c.root.Open(dir)
	if err != nil {
		return ignoreAbsent(err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == lock {
			continue
		}
		head, _, _ := strings.Cut(name, "-")
		to := fmt.Sprintf("%s/%s-%d", back, head, deliveries(name)+more)
		if err := c.root.Rename(path.Join(dir, name), to); ignoreAbsent(err) != nil {
			return err
		}
	}
	return c.root.RemoveAll(dir)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// end gives back what is left, and lets go of the lock.
func (c *claims) end() error {
	return errors.Join(c.leave(c.own, 0), c.lock.Close())
}
