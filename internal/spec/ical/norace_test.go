//go:build !race

package ical_test

const raceDetector = false
