package syncsource

// UIDOf is uidOf.
func UIDOf(uid string) string { return uidOf(uid) }
