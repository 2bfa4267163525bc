// Package logger is the interface through which functions written for Nuclio
// log. Such a function imports it under the path that Nuclio gave it; the
// build lays this package there.
package logger

import "context"

// Logger writes to the function's log. The first argument of each method is a
// message, formatted with the arguments that follow if there are any; the With
// forms take keys and values instead.
type Logger interface {
	Error(format interface{}, vars ...interface{})
	Warn(format interface{}, vars ...interface{})
	Info(format interface{}, vars ...interface{})
	Debug(format interface{}, vars ...interface{})

	ErrorCtx(ctx context.Context, format interface{}, vars ...interface{})
	WarnCtx(ctx context.Context, format interface{}, vars ...interface{})
	InfoCtx(ctx context.Context, format interface{}, vars ...interface{})
	DebugCtx(ctx context.Context, format interface{}, vars ...interface{})

	ErrorWith(format interface{}, vars ...interface{})
	WarnWith(format interface{}, vars ...interface{})
	InfoWith(format interface{}, vars ...interface{})
	DebugWith(format interface{}, vars ...interface{})

	ErrorWithCtx(ctx context.Context, format interface{}, vars ...interface{})
	WarnWithCtx(ctx context.Context, format interface{}, vars ...interface{})
	InfoWithCtx(ctx context.Context, format interface{}, vars ...interface{})
	DebugWithCtx(ctx context.Context, format interface{}, vars ...interface{})

	// Flush writes what is buffered.
	Flush()
	// GetChild returns a logger whose lines carry name.
	GetChild(name string) Logger
}
