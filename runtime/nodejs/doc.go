// Package nodejs runs JavaScript functions: one Node.js process per worker, fed
// through the shared-memory channel of runtime/shm. The worker's own code is
// embedded here and in sdk/nodejs; a small addon, compiled once for every
// version of Node.js, gives it the shared memory. The package knows no trigger
// and no platform.
package nodejs
