package etcd

import (
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/myelin-run/myelin/control/store"
)

// config is that of one member that is a cluster by itself. The ticks are
// short because a member alone only waits for its own election.
func config(dir string) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name = "myelin"
	cfg.Dir = dir
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = nil
	cfg.AdvertiseClientUrls = nil
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs = 20
	cfg.ElectionMs = 100
	cfg.QuotaBackendBytes = quota
	cfg.AutoCompactionMode = embed.CompactorModeRevision
	cfg.AutoCompactionRetention = "10000"
	cfg.MaxRequestBytes = 8 << 20
	cfg.SnapshotCount = 10000
	cfg.MaxSnapFiles = 2
	cfg.MaxWalFiles = 2
	// A slow disk is worth a warning only when somebody would notice.
	cfg.WarningApplyDuration = time.Second
	cfg.WarningUnaryRequestDuration = time.Second
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(dir))
	return cfg
}

// logger writes etcd's warnings to a file beside its data, bounded in size.
func logger(dir string) *zap.Logger {
	file := &lumberjack.Logger{Filename: filepath.Join(dir, "etcd.log"), MaxSize: 4, MaxBackups: 1}
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	return zap.New(zapcore.NewCore(enc, zapcore.AddSync(file), zapcore.WarnLevel))
}

// room says whether the disk has the reserve, or the given part of it, free.
func (s *Store) room(part int64) error {
	var st unix.Statfs_t
	if s.reserve < 0 || unix.Statfs(s.dir, &st) != nil {
		return nil
	}
	free := int64(st.Bavail) * st.Bsize
	if need := s.reserve / part; free < need {
		return fmt.Errorf("disk of %s is full: %d MiB free, %d MiB are needed: %w", s.dir, free>>20, need>>20, store.ErrFull)
	}
	return nil
}
