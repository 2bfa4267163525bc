// Package quantity holds the types of configuration values that have a unit or
// must not be shown: Duration, Size, Amount and Secret. It knows nothing of
// where they are used.
package quantity
