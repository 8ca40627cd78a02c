//go:build race

package ical_test

// raceDetector: everything takes ten times as long.
const raceDetector = true
