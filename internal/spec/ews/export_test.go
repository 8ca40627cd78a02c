package ews

// Len is how many texts are remembered.
func (m *HoursMemory) Len() int { return len(m.known) }
