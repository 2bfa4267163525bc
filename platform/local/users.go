package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// firstUser is the first of the user numbers that functions get. Nobody else
// uses them: they lie above those of people and below those of containers.
const (
	firstUser = 60000
	userCount = 5000
)

// users gives each function a user of its own, for as long as it exists. If the
// platform does not run as root, all functions run as the same user as it.
type users struct {
	path string
	mu   sync.Mutex
	slot map[string]int
}

func loadUsers(path string) (*users, error) {
	u := &users{path: path, slot: map[string]int{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return u, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &u.slot)
	}
	if err != nil {
		return nil, fmt.Errorf("read users of functions: %w", err)
	}
	return u, nil
}

func (u *users) of(name string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	slot, ok := u.slot[name]
	if !ok {
		taken := map[int]bool{}
		for _, s := range u.slot {
			taken[s] = true
		}
		for taken[slot] {
			slot++
		}
		if slot >= userCount {
			return nil, fmt.Errorf("no user left for %s: %d functions have one", name, userCount)
		}
		u.slot[name] = slot
		if err := saveJSON(u.path, u.slot); err != nil {
			return nil, fmt.Errorf("save users of functions: %w", err)
		}
	}
	id := uint32(firstUser + slot)
	return &syscall.Credential{Uid: id, Gid: id}, nil
}

// nameOf is who has a user.
func (u *users) nameOf(user int) (string, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name, slot := range u.slot {
		if firstUser+slot == user {
			return name, true
		}
	}
	return "", false
}

func (u *users) free(name string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, ok := u.slot[name]; !ok {
		return nil
	}
	delete(u.slot, name)
	return saveJSON(u.path, u.slot)
}
