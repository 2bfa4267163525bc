// Package java runs Java functions: one virtual machine per worker, fed through
// the shared-memory channel of runtime/shm. The worker's own code is embedded
// here and in sdk/java; it is compiled once for every build of Myelin, and its
// classes are archived once for every virtual machine. The package knows no
// trigger and no platform.
package java
