package exec

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Quota returns how many processors' time the control groups of this process
// let it use, 0 if they set no bound. root is where control groups are mounted,
// self lists this process's.
func Quota(root, self string) (cpus float64) {
	text, err := os.ReadFile(self)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		dir, read := filepath.Join(root, "cpu"), quotaV1
		if part[0] == "0" {
			dir, read = root, quotaV2
		} else if !strings.Contains(","+part[1]+",", ",cpu,") {
			continue
		}
		for at := filepath.Clean("/" + part[2]); ; at = filepath.Dir(at) {
			if q := read(filepath.Join(dir, at)); q > 0 && (cpus == 0 || q < cpus) {
				cpus = q
			}
			if at == "/" {
				break
			}
		}
	}
	return cpus
}

func quotaV1(dir string) float64 {
	return ratio(number(filepath.Join(dir, "cpu.cfs_quota_us")), number(filepath.Join(dir, "cpu.cfs_period_us")))
}

func quotaV2(dir string) float64 {
	text, err := os.ReadFile(filepath.Join(dir, "cpu.max"))
	if f := strings.Fields(string(text)); err == nil && len(f) == 2 {
		quota, _ := strconv.ParseFloat(f[0], 64) // "max" is none
		period, _ := strconv.ParseFloat(f[1], 64)
		return ratio(quota, period)
	}
	return 0
}

func number(file string) float64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	return n
}

func ratio(quota, period float64) float64 {
	if quota <= 0 || period <= 0 {
		return 0
	}
	return quota / period
}
