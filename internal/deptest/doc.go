// Package deptest holds the tests of the repository as a whole: which part may
// import which, and what may be written nowhere. It exports nothing.
package deptest
