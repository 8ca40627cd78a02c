//go:build race

package syncsource_test

const raceEnabled = true
