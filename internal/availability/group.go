package availability

import (
	"fmt"

	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
)

// addMembers makes entries of a group's members, so that they are looked up in
// the next round. A group that is too big stays without.
func (a *asking) addMembers(group *entry) {
	members := group.route.Recipient.Members
	if n := len(members); n > MaxMembers {
		group.err = tooBig(group, n)
		return
	}
	if n := len(a.entries) + len(members); n > maxEntries {
		group.err = &routing.MailboxError{Reason: routing.GroupTooBig,
			Text: fmt.Sprintf("The distribution list %s was not expanded: the request has too many members in all. The allowed size = %d; the actual size = %d.", group.asked, maxEntries, n)}
		return
	}
	for _, m := range members {
		a.entry(m)
	}
}

// expand finds the members of a group, through nested groups, each once. A
// nested group that cannot be expanded is one member without data (EWS
// reference 2.8).
func (a *asking) expand(group *entry) {
	seen := make(map[int]bool, len(group.route.Recipient.Members))
	var walk func(*entry)
	walk = func(g *entry) {
		for _, m := range g.route.Recipient.Members {
			i := a.at[m]
			if seen[i] || a.entries[i] == group {
				continue
			}
			seen[i] = true
			if en := a.entries[i]; en.isGroup() {
				walk(en)
			} else {
				group.leaves = append(group.leaves, i)
			}
		}
	}
	walk(group)
	if n := len(group.leaves); n > MaxMembers {
		group.err, group.leaves = tooBig(group, n), nil
		return
	}
	for _, i := range group.leaves {
		a.entries[i].member = true
	}
}

// groupAnswer merges the members' answers: the merged string and nothing else
// (EWS reference 2.4). A member without answer is no data. Where all are without,
// a partner that is not told what exists is refused.
func (a *asking) groupAnswer(group *entry, replies []routing.Reply) routing.Reply {
	merged := make([]string, 0, len(group.leaves))
	for _, i := range group.leaves {
		if replies[i].Err == nil {
			merged = append(merged, replies[i].Merged)
		}
	}
	if len(merged) == 0 && a.viewer.blind { // as any address without access
		return routing.Reply{Address: group.asked, Err: a.viewer.Refusal(group.asked, true)}
	}
	return routing.Reply{Address: group.asked, View: freebusy.ViewMergedOnly, Merged: freebusy.Combine(a.q.Window.Slots(a.slot), merged)}
}

// members are the merged strings of a group's members, where they were asked for.
func (a *asking) members(i int, replies []routing.Reply) []string {
	group := a.entries[i]
	if !a.q.Members || group.hidden || replies[i].Err != nil || !group.isGroup() {
		return nil
	}
	out := make([]string, len(group.leaves))
	for k, leaf := range group.leaves {
		out[k] = replies[leaf].Merged
	}
	return out
}

func tooBig(group *entry, n int) *routing.MailboxError {
	return &routing.MailboxError{Reason: routing.GroupTooBig,
		Text: fmt.Sprintf("The distribution list %s has too many members. The allowed size = %d; the actual size = %d.", group.asked, MaxMembers, n)}
}
