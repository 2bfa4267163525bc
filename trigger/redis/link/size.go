package link

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The longest text that Redis takes is set at the server, and no shorter than
// leastBytes; mostBytes is the default.
const (
	leastBytes = 1 << 20
	mostBytes  = 512 << 20
)

// Never says whether a text is larger than any Redis takes that is not set up
// for it.
func Never(size int) bool { return size > mostBytes }

// Refuses says whether a text is too long for the server, which hangs up on
// those that are before it has read them. Sometimes its word comes through, over
// a connection that is then of no use; else it is asked.
func Refuses(ctx context.Context, c *redis.Client, size int, word error) bool {
	if size < leastBytes {
		return false
	}
	if strings.Contains(word.Error(), "invalid bulk length") {
		return true
	}
	got, err := c.ConfigGet(ctx, "proto-max-bulk-len").Result()
	if err != nil {
		return false // not allowed, or gone
	}
	most, err := strconv.Atoi(got["proto-max-bulk-len"])
	return err == nil && size > most
}
