// Package hybrid joins two organizations by a desired state: it compares what a
// short file asks for with what the directories hold, tells the difference as
// cmdlets that could be typed, does them, proves that questions are answered in both
// directions, and takes everything back.
//
// A [Desired] and the [State] of both sides make a [Plan]: the eight steps of
// the article in its edition, or direct trust. A [Runner] applies it step by step,
// and writes what each changes into a [Journal] before and after, so that it may be
// stopped anywhere and run again, and undone. Each step is one operation of
// admin.Service, so that permission, checks and audit are those of the cmdlet.
package hybrid
