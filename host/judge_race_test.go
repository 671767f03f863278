//go:build race

package host_test

// raceDetector says that this binary is many times slower and larger.
const raceDetector = true
