package data

import "context"

type roomKey struct{}

// Room lends memory in which who asks wants content of n bytes to lie; nil if there
// is none for so many. It belongs to the call that asked: nobody else may keep or
// share what lies there, and nothing writes there after the call has returned. A
// second one replaces the first.
type Room func(n int) []byte

// WithRoom returns a context in which a read of an object may use room.
func WithRoom(ctx context.Context, room Room) context.Context {
	return context.WithValue(ctx, roomKey{}, room)
}

// WithoutRoom is for reads whose outcome others will have too.
func WithoutRoom(ctx context.Context) context.Context {
	if room, _ := ctx.Value(roomKey{}).(Room); room == nil {
		return ctx
	}
	return context.WithValue(ctx, roomKey{}, Room(nil))
}

// RoomFor is where a driver reads content of n bytes into, to return it.
func RoomFor(ctx context.Context, n int64) []byte {
	if room, _ := ctx.Value(roomKey{}).(Room); room != nil {
		if b := room(int(n)); b != nil {
			return b
		}
	}
	return make([]byte, n)
}
