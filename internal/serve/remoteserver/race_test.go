//go:build race

package remoteserver_test

const raceEnabled = true
