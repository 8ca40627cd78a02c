//go:build race

package calstore_test

// raceDetector: everything takes ten times as long.
const raceDetector = true
