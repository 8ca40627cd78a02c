package config

import (
	_ "embed"
	"slices"
)

//go:embed example.yaml
var example []byte

// Example is the documented example file: required keys with example values,
// every other key commented out with its default.
func Example() []byte { return slices.Clone(example) }
