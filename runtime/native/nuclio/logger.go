package nuclio

import (
	"context"
	"fmt"
	"log/slog"

	nlogger "github.com/myelin-run/myelin/sdk/nuclio/logger"
)

// logger shows the function's log through Nuclio's interface.
type logger struct{ to *slog.Logger }

var _ nlogger.Logger = (*logger)(nil)

func (l *logger) printf(ctx context.Context, level slog.Level, format interface{}, vars []interface{}) {
	if !l.to.Enabled(ctx, level) {
		return
	}
	msg := fmt.Sprint(format)
	if len(vars) > 0 {
		msg = fmt.Sprintf(msg, vars...)
	}
	l.to.Log(ctx, level, msg)
}

func (l *logger) with(ctx context.Context, level slog.Level, msg interface{}, vars []interface{}) {
	l.to.Log(ctx, level, fmt.Sprint(msg), vars...)
}

// GetChild names the child as an attribute of its lines.
func (l *logger) GetChild(name string) nlogger.Logger {
	return &logger{l.to.With("logger", name)}
}

// Flush has nothing to do: each line is written as it comes.
func (l *logger) Flush() {}

func (l *logger) Error(f interface{}, v ...interface{}) {
	l.printf(context.Background(), slog.LevelError, f, v)
}
func (l *logger) Warn(f interface{}, v ...interface{}) {
	l.printf(context.Background(), slog.LevelWarn, f, v)
}
func (l *logger) Info(f interface{}, v ...interface{}) {
	l.printf(context.Background(), slog.LevelInfo, f, v)
}
func (l *logger) Debug(f interface{}, v ...interface{}) {
	l.printf(context.Background(), slog.LevelDebug, f, v)
}
func (l *logger) ErrorCtx(ctx context.Context, f interface{}, v ...interface{}) {
	l.printf(ctx, slog.LevelError, f, v)
}
func (l *logger) WarnCtx(ctx context.Context, f interface{}, v ...interface{}) {
	l.printf(ctx, slog.LevelWarn, f, v)
}
func (l *logger) InfoCtx(ctx context.Context, f interface{}, v ...interface{}) {
	l.printf(ctx, slog.LevelInfo, f, v)
}
func (l *logger) DebugCtx(ctx context.Context, f interface{}, v ...interface{}) {
	l.printf(ctx, slog.LevelDebug, f, v)
}
func (l *logger) ErrorWith(f interface{}, v ...interface{}) {
	l.with(context.Background(), slog.LevelError, f, v)
}
func (l *logger) WarnWith(f interface{}, v ...interface{}) {
	l.with(context.Background(), slog.LevelWarn, f, v)
}
func (l *logger) InfoWith(f interface{}, v ...interface{}) {
	l.with(context.Background(), slog.LevelInfo, f, v)
}
func (l *logger) DebugWith(f interface{}, v ...interface{}) {
	l.with(context.Background(), slog.LevelDebug, f, v)
}
func (l *logger) ErrorWithCtx(ctx context.Context, f interface{}, v ...interface{}) {
	l.with(ctx, slog.LevelError, f, v)
}
func (l *logger) WarnWithCtx(ctx context.Context, f interface{}, v ...interface{}) {
	l.with(ctx, slog.LevelWarn, f, v)
}
func (l *logger) InfoWithCtx(ctx context.Context, f interface{}, v ...interface{}) {
	l.with(ctx, slog.LevelInfo, f, v)
}
func (l *logger) DebugWithCtx(ctx context.Context, f interface{}, v ...interface{}) {
	l.with(ctx, slog.LevelDebug, f, v)
}
