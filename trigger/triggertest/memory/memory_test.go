package memory

import (
	"os"
	"testing"
	"time"

	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// The suites pass the engines on sources in memory. TestSuitesFindDefects runs
// them again with a defect, and less patience.
func TestQueueSuite(t *testing.T) {
	defect := os.Getenv(defectEnv)
	for name, o := range map[string]queue.Options{
		"requeues": {Requeues: true},
		"delays":   {Requeues: true, Delays: true},
		"forgets":  {},
	} {
		t.Run(name, func(t *testing.T) {
			triggertest.QueueSuite(t, triggertest.Guarantees{Patience: patience(), Forgets: !o.Requeues, New: func(testing.TB) triggertest.Broker {
				q := NewQueue(o)
				if defect == "" {
					return q
				}
				q.Defect = defect
				return &badQueue{q, defect}
			}})
		})
	}
}

func TestStreamSuite(t *testing.T) {
	defect := os.Getenv(defectEnv)
	t.Run("group", func(t *testing.T) {
		triggertest.StreamSuite(t, triggertest.Guarantees{Patience: patience(), New: func(testing.TB) triggertest.Broker {
			l := NewLog(4)
			if defect == "" {
				return l
			}
			l.Defect = defect
			return &badLog{l, defect}
		}})
	})
}

func patience() time.Duration {
	if os.Getenv(defectEnv) != "" {
		return 3 * time.Second
	}
	return 2 * time.Minute
}
