package hostcmd_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/ps/interp"
)

func TestSelectString(t *testing.T) {
	s := newShell(t)
	s.write(t, "a.ps1", "one\nServiceName = 1\nthree\nServiceName = 2\n")
	s.write(t, "b.ps1", "nothing")
	steps(t, s, []step{
		{`sls servicename *.ps1`, "C:\\a.ps1:2:ServiceName = 1\nC:\\a.ps1:4:ServiceName = 2"},
		{`sls servicename *.ps1 -CaseSensitive`, ""},
		{`sls '= \d' a.ps1 -List | % { $_.LineNumber, $_.Line, $_.Filename, $_.Matches[0].Value }`, "2\nServiceName = 1\na.ps1\n= 1"},
		{`sls '= 1$' a.ps1 -SimpleMatch -Quiet; sls '= 1' a.ps1 -SimpleMatch -Quiet`, "False\nTrue"},
		{`sls S a.ps1 -NotMatch`, "C:\\a.ps1:1:one\nC:\\a.ps1:3:three"},
		{`sls e a.ps1 -AllMatches -List | % { $_.Matches.Count }`, "1"},
		{`sls '= 1' a.ps1 -Context 1`, "  C:\\a.ps1:1:one\n> C:\\a.ps1:2:ServiceName = 1\n  C:\\a.ps1:3:three"},
		{`'alpha', 'beta', 'gamma' | sls a$, ^b | % { "$($_.LineNumber) $_" }`, "1 alpha\n2 beta\n3 gamma"},
		{`'alpha', 'beta' | sls x -Quiet`, "False"},
		{`dir *.ps1 | sls three`, `C:\a.ps1:3:three`},
		{`sls '(' a.ps1 -SimpleMatch`, ""},
		{`sls x none.ps1`, `Error: Cannot find path 'C:\none.ps1' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.SelectStringCommand]`},
	})
	if out := s.run(t, `sls '(' a.ps1`); !strings.HasPrefix(out, "Error: The string ( is not a valid regular expression:") {
		t.Errorf("got %s", out)
	}
	if diff := cmp.Diff("C:\\a.ps1:3:three\n", s.show(t, `sls three a.ps1`)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompareObject(t *testing.T) {
	s := newShell(t)
	steps(t, s, []step{
		{`diff dog, squirrel, raccoon cat, Dog, squirrel | % { "$($_.InputObject) $($_.SideIndicator)" }`, "cat =>\nraccoon <="},
		{`diff dog, squirrel, raccoon cat, Dog, squirrel -IncludeEqual | % { "$($_.InputObject) $($_.SideIndicator)" }`, "dog ==\nsquirrel ==\ncat =>\nraccoon <="},
		{`diff dog Dog -CaseSensitive | % SideIndicator`, "=>\n<="},
		{`diff a, b a, c -IncludeEqual -ExcludeDifferent -PassThru | % { "$_ $($_.SideIndicator)" }`, "a =="},
		{`diff 1, 1, 2 1 | % { "$($_.InputObject) $($_.SideIndicator)" }`, "1 <=\n2 <="},
		{`diff a, b, c c, x, y -SyncWindow 0 -IncludeEqual | % SideIndicator | group | % { "$($_.Name) $($_.Count)" }`, "=> 3\n<= 3"},
		{`$x = [pscustomobject]@{N = 1; V = 'a'}, [pscustomobject]@{N = 2; V = 'b'}; $y = [pscustomobject]@{N = 1; V = 'z'}
diff $x $y -Property N | % { "$($_.N) $($_.SideIndicator)" }; diff $x $y -Property N, V | % { "$($_.N)$($_.V) $($_.SideIndicator)" }`, "2 <=\n1z =>\n1a <=\n2b <="},
		{`@() | diff @() @()`, ""},
		{`diff $null a`, "Error: Cannot bind argument to parameter 'ReferenceObject' because it is null. [ParameterArgumentValidationErrorNullNotAllowed]"},
	})
}

func TestRandomAndTime(t *testing.T) {
	s := newShell(t)
	steps(t, s, []step{
		{`$n = 1..200 | % { Get-Random -Minimum 3 -Maximum 6 }; ($n | sort -Unique) -join ' '`, "3 4 5"},
		{`(1..9 | Get-Random -Count 20 | sort) -join ''`, "123456789"},
		{`@(1..100 | Get-Random -Count 3).Count`, "3"},
		{`(Get-Random -SetSeed 5) -eq (Get-Random -SetSeed 5)`, "True"},
		{`$d = Get-Random -Minimum 1.0 -Maximum 1.5; $d -ge 1 -and $d -lt 1.5; $d.GetType().Name`, "True\nDouble"},
		{`Get-Random -Minimum 5 -Maximum 5`, "Error: The Minimum value (5) cannot be greater than or equal to the Maximum value (5). [MinGreaterThanOrEqualMax,Microsoft.PowerShell.Commands.GetRandomCommand]"},
		{`(Get-Random -Maximum 10000000000).GetType().Name -in 'Int32','Int64'`, "True"},
		{`(New-Guid).GetType().Name; (New-Guid) -eq (New-Guid)`, "Guid\nFalse"},
		{`New-TimeSpan -Days 1 -Hours 2 -Minutes 3 -Seconds 4 | % { "$_" }`, "1.02:03:04"},
		{`New-TimeSpan 2024-03-18 2024-03-19 | % { "$_" }; New-TimeSpan -End 2024-03-19T13:00 | % { "$_" }`, "1.00:00:00\n01:00:00"},
		{`(Get-Host).Name`, "ConsoleHost"},
	})
}

func TestHistory(t *testing.T) {
	cleared := 0
	s := newShell(t, func(c *hostcmd.Config, _ *interp.Config) {
		c.History = func() []hostcmd.HistoryEntry {
			return []hostcmd.HistoryEntry{{ID: 1, Line: "$x = 5", Start: noon, End: noon}, {ID: 2, Line: "$x + 1", Start: noon, End: noon, Failed: true}}
		}
		c.ClearHost = func() error { cleared++; return nil }
	})
	steps(t, s, []step{
		{`h | % { "$($_.Id) $_ $($_.ExecutionStatus)" }`, "1 $x = 5 Completed\n2 $x + 1 Failed"},
		{`h -Count 1 | % Id; h 1 | % CommandLine`, "2\n$x = 5"},
		{`h 7`, "Error: Cannot locate the history for Id 7. [GetHistoryNoHistoryForId,Microsoft.PowerShell.Commands.GetHistoryCommand]"},
		{`r 1; r`, "6\nInformation: $x = 5\nInformation: $x + 1"},
		{`r 9`, "Error: Cannot locate the history for Id 9. [GetHistoryNoHistoryForId,Microsoft.PowerShell.Commands.InvokeHistoryCommand]"},
		{`r foo`, "Error: Cannot locate the history for command line foo. [InvokeHistoryBadId,Microsoft.PowerShell.Commands.InvokeHistoryCommand]"},
		{`cls`, ""},
	})
	if cleared != 1 {
		t.Errorf("the screen was emptied %d times", cleared)
	}
	steps(t, newShell(t), []step{{`h; cls; r`, "Error: Cannot locate the last history entry. [InvokeHistoryNoLastHistoryEntryFound,Microsoft.PowerShell.Commands.InvokeHistoryCommand]"}})
}
