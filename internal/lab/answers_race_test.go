//go:build race

package lab_test

// raced: the test runs under the race detector.
const raced = true
