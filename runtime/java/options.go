package java

import (
	"slices"
	"strings"
)

// machineOptions are the options that every worker has, before those of the
// user. Workers are many and small: the serial collector starts fastest and
// needs the least memory and threads. The compilers are left as they are: what
// is hot should get fast, and stopping at the first of them starts no sooner.
func machineOptions(m machine, users []string) []string {
	options := []string{"-Xshare:auto", "-XX:-UsePerfData", "-XX:-CreateCoredumpOnCrash"}
	if !slices.ContainsFunc(users, choosesCollector) {
		options = append(options, "-XX:+UseSerialGC")
	}
	if m.feature() >= 22 {
		options = append(options, "--enable-native-access=ALL-UNNAMED")
	}
	return options
}

func choosesCollector(option string) bool {
	return strings.HasPrefix(option, "-XX:+Use") && strings.HasSuffix(option, "GC")
}
