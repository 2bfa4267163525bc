package servers

// cosignRelease is the version of what scripts/servers.sh builds of tools/cosign, and the
// beginning of its sources' sum; a test keeps them equal.
const cosignRelease = "v2.6.5-075eeccd"

// Cosign is a program that signs images and verifies their signatures as Cosign
// does: sign|verify KEY IMAGE@DIGEST.
func Cosign() (string, error) { return fetched("cosign-" + cosignRelease) }
