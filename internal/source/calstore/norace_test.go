//go:build !race

package calstore_test

const raceDetector = false
