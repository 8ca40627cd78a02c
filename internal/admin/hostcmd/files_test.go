package hostcmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTestPath(t *testing.T) {
	s := newShell(t, withCertificates(certificate(t, "mail.contoso.com", noon)))
	s.write(t, "OAuthConfig/a.txt", "")
	steps(t, s, []step{
		{`test-path $env:SYSTEMDRIVE\OAuthConfig`, "True"},
		{`(test-path $env:SYSTEMDRIVE\Nothing) -eq $false`, "True"},
		{`Test-Path c:\oauthconfig\A.TXT -PathType Leaf`, "True"},
		{`Test-Path C:\OAuthConfig -PathType Leaf`, "False"},
		{`Test-Path C:\OAuthConfig, C:\no, C:\*\*.txt`, "True\nFalse\nTrue"},
		{`Test-Path Z:\x`, "False"},
		{`Test-Path 'a|b'`, "False"},
		{`Test-Path 'a|b' -IsValid; Test-Path C:\no -IsValid`, "False\nTrue"},
		{`Test-Path Cert:\LocalMachine\My; Test-Path Cert:\LocalMachine\Root`, "True\nFalse"},
		{`Test-Path C:\OAuthConfig\a.txt -NewerThan 2024-03-19; Test-Path C:\OAuthConfig\a.txt -OlderThan 2024-03-19`, "True\nFalse"},
		{`Test-Path C:\OAuthConfig\* -Include *.cer`, "False"},
		{`'C:\OAuthConfig','C:\no' | Test-Path`, "True\nFalse"},
		{`Test-Path ''`, "Error: Cannot bind argument to parameter 'Path' because it is an empty string. [ParameterArgumentValidationErrorEmptyStringNotAllowed,Microsoft.PowerShell.Commands.TestPathCommand]"},
		{`Test-Path $null`, "Error: Cannot bind argument to parameter 'Path' because it is null. [ParameterArgumentValidationErrorNullNotAllowed]"},
	})
}

func TestNewItem(t *testing.T) {
	s := newShell(t)
	steps(t, s, []step{
		{`(md C:\OAuthConfig).FullName`, `C:\OAuthConfig`},
		{`md C:\OAuthConfig`, `Error: An item with the specified name C:\OAuthConfig already exists. [DirectoryExist,Microsoft.PowerShell.Commands.NewItemCommand]`},
		{`mkdir C:\oauthconfig -Force | % { "$_" }`, `C:\OAuthConfig`},
		{`New-Item -ItemType Directory -Path C:\a\b\c | % { $_.GetType().FullName }`, `System.IO.DirectoryInfo`},
		{`New-Item C:\a\x.txt -Value 'one' | % { $_.Name, $_.Length, $_.Mode }`, "x.txt\n3\n-a----"},
		{`New-Item C:\a -Name y.txt -ItemType File | % Name`, "y.txt"},
		{`New-Item C:\a\X.TXT`, `Error: The file 'C:\a\X.TXT' already exists. [NewItemIOError,Microsoft.PowerShell.Commands.NewItemCommand]`},
		{`New-Item C:\no\x.txt`, `Error: Could not find a part of the path 'C:\no\x.txt'. [NewItemIOError,Microsoft.PowerShell.Commands.NewItemCommand]`},
		{`New-Item C:\no\x.txt -Force | % FullName`, `C:\no\x.txt`},
		{`md C:\a\x.txt\y`, `Error: Cannot create 'C:\a\x.txt' because a file with the same name already exists. [NewItemIOError,Microsoft.PowerShell.Commands.NewItemCommand]`},
		{`New-Item C:\nul`, `Error: The name 'nul' is a device of Windows and not a file. [NewItemIOError,Microsoft.PowerShell.Commands.NewItemCommand]`},
		{`New-Item C:\l -ItemType SymbolicLink`, `Error: An item of type 'SymbolicLink' cannot be made here. ItemType is File or Directory. [NotSupported,Microsoft.PowerShell.Commands.NewItemCommand]`},
		{`md C:\w -WhatIf`, `Information: What if: Performing the operation "Create Directory" on target "Destination: C:\w".`},
		{`Test-Path C:\w`, `False`},
		{`md D:\x`, `Error: Cannot find drive. A drive with the name 'D' does not exist. [DriveNotFound,Microsoft.PowerShell.Commands.NewItemCommand]`},
	})
}

// The first run of the article's step 3 prints this.
func TestFoldersAsPowerShellShowsThem(t *testing.T) {
	s := newShell(t)
	s.write(t, "OAuthConfig/a.txt", "hello")
	s.write(t, "z.txt", "")
	if err := os.Chtimes(filepath.Join(s.dir, "OAuthConfig"), noon, noon); err != nil {
		t.Fatal(err)
	}
	want := `    Directory: C:\


Mode                LastWriteTime         Length Name
----                -------------         ------ ----
d-----        3/19/2024  12:00 PM                OAuthConfig
-a----        3/19/2024  12:00 PM              0 z.txt


    Directory: C:\OAuthConfig


Mode                LastWriteTime         Length Name
----                -------------         ------ ----
-a----        3/19/2024  12:00 PM              5 a.txt


`
	if diff := cmp.Diff(want, strings.TrimLeft(s.show(t, `dir C:\; dir C:\OAuthConfig`), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGetChildItem(t *testing.T) {
	s := newShell(t)
	for _, n := range []string{"b.txt", "A.cer", "sub/c.txt", "sub/deep/d.txt", "a [1].txt"} {
		s.write(t, n, n)
	}
	if err := os.Chmod(filepath.Join(s.dir, "b.txt"), 0o400); err != nil {
		t.Fatal(err)
	}
	steps(t, s, []step{
		{`dir`, "sub\na [1].txt\nA.cer\nb.txt"},
		{`dir *.txt`, "a [1].txt\nb.txt"},
		{`dir -Filter *.cer`, "A.cer"},
		{`dir C:\ -Recurse -File | % FullName`, "C:\\a [1].txt\nC:\\A.cer\nC:\\b.txt\nC:\\sub\\c.txt\nC:\\sub\\deep\\d.txt"},
		{`dir -Recurse -Name -Directory`, "sub\nsub\\deep"},
		{`dir -Depth 1 -Name -Include *.txt`, "a [1].txt\nb.txt\nsub\\c.txt"},
		{`dir -Exclude *.txt -Name`, "sub\nA.cer"},
		{`dir sub -File | gc; dir sub\deep | % { Test-Path $_.FullName }`, "sub/c.txt\nTrue"},
		{`(dir sub)[0] -is [IO.DirectoryInfo]; (dir sub)[1] -is [System.IO.FileInfo]; (dir sub)[1] -is [IO.FileSystemInfo]`, "True\nTrue\nTrue"},
		{`dir | gm -MemberType Property | ? Name -eq Length | % TypeName`, "System.IO.FileInfo"},
		{`dir -ReadOnly -Name`, "b.txt"},
		{`(dir b.txt).IsReadOnly, (dir b.txt).Mode`, "True\n-ar---"},
		{`dir -LiteralPath 'a [1].txt'`, "a [1].txt"},
		{"dir 'a `[1`].txt'", "a [1].txt"},
		{`dir 'a [1].txt'`, ""},
		{`dir nothing.txt`, `Error: Cannot find path 'C:\nothing.txt' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.GetChildItemCommand]`},
		{`dir nothing*`, ""},
		{`dir s*\*\*.txt | % FullName`, `C:\sub\deep\d.txt`},
		{`Get-Item sub | % { "$_", $_.PSIsContainer, $_.PSPath, $_.Parent }`, "C:\\sub\nTrue\nMicrosoft.PowerShell.Core\\FileSystem::C:\\sub\nC:\\"},
		{`Get-Item A.cer | select Name, BaseName, Extension, DirectoryName | fl | out-string -stream | ? { $_ }`, "Name          : A.cer\nBaseName      : A\nExtension     : .cer\nDirectoryName : C:\\"},
		{`dir sub | sort Name -Descending | % Name`, "deep\nc.txt"},
		{`Get-Item A.cer | % { $_.Length = 1 }`, `Error: 'Length' is a ReadOnly property. [PropertyAssignmentException]`},
	})
}

func TestRemoveItem(t *testing.T) {
	p := &prompts{}
	s := newShell(t, withPrompt(p))
	for _, n := range []string{"a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt", "full/x", "full2/x", "locked.txt"} {
		s.write(t, n, n)
	}
	if err := os.Chmod(filepath.Join(s.dir, "locked.txt"), 0o400); err != nil {
		t.Fatal(err)
	}
	steps(t, s, []step{
		{`del *.txt -WhatIf`, "Information: What if: Performing the operation \"Remove File\" on target \"C:\\a.txt\".\nInformation: What if: Performing the operation \"Remove File\" on target \"C:\\b.txt\".\nInformation: What if: Performing the operation \"Remove File\" on target \"C:\\locked.txt\"."},
		{`del a.txt; Test-Path a.txt`, "False"},
		{`dir b.txt | Remove-Item; Test-Path b.txt`, "False"},
		{`del locked.txt`, `Error: Cannot remove item C:\locked.txt: You do not have sufficient access rights to perform this operation. [RemoveFileSystemItemUnAuthorizedAccess,Microsoft.PowerShell.Commands.RemoveItemCommand]`},
		{`del locked.txt -Force; Test-Path locked.txt`, "False"},
		{`cd sub\deep; del C:\sub -Recurse; cd \`, `Error: Cannot remove the item at 'C:\sub' because it is in use. [InvalidOperation,Microsoft.PowerShell.Commands.RemoveItemCommand]`},
		{`del C:\ -Recurse`, `Error: Cannot remove the item at 'C:\' because it is in use. [InvalidOperation,Microsoft.PowerShell.Commands.RemoveItemCommand]`},
		{`rd sub -Recurse; Test-Path sub`, "False"},
		{`del nothing`, `Error: Cannot find path 'C:\nothing' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.RemoveItemCommand]`},
		{`del Cert:\LocalMachine\My`, `Error: The drive Cert: shows the organization's certificates and cannot be changed. Use New-ExchangeCertificate, Import-ExchangeCertificate or Remove-ExchangeCertificate. [NotSupported,Microsoft.PowerShell.Commands.RemoveItemCommand]`},
	})
	p.choice = 2 // No
	steps(t, s, []step{{`rd full; Test-Path full`, "True"}})
	if len(p.asked) != 1 || !strings.HasPrefix(p.asked[0], `The item at C:\full has children and the Recurse parameter was not specified.`) {
		t.Errorf("asked %q", p.asked)
	}
	p.choice = 1 // Yes to all
	steps(t, s, []step{{`rd full, full2; Test-Path full*`, "False"}})
	if len(p.asked) != 2 {
		t.Errorf("asked %q", p.asked)
	}
}

// A link goes; what it leads to stays.
func TestRemoveItemKeepsWhatALinkLeadsTo(t *testing.T) {
	s := newShell(t)
	s.write(t, "kept/a.txt", "a")
	if err := os.Symlink("kept", filepath.Join(s.dir, "link")); err != nil {
		t.Skip(err)
	}
	steps(t, s, []step{{`del link -Recurse; Test-Path link; Get-Content kept\a.txt`, "False\na"}})
}

// Rings of links do not make endless lists.
func TestLinksAreNotFollowedDown(t *testing.T) {
	s := newShell(t)
	s.write(t, "a/x.txt", "x")
	if err := os.Symlink("a", filepath.Join(s.dir, "over")); err != nil {
		t.Skip(err)
	}
	for _, n := range []string{"one", "two"} {
		if err := os.Symlink(filepath.Join("..", "a"), filepath.Join(s.dir, "a", n)); err != nil {
			t.Skip(err)
		}
	}
	steps(t, s, []step{
		{`dir a -Recurse -Name`, "one\ntwo\nx.txt"},
		{`dir a\one\two -Name`, "one\ntwo\nx.txt"},
		{`copy a b -Recurse; dir b -Recurse -Name`, "one\ntwo\nx.txt"},
		{`copy a over\c -Recurse; dir a\c -Recurse -Name`, "one\ntwo\nx.txt"},
	})
}

func TestCopyMoveRename(t *testing.T) {
	s := newShell(t)
	for _, n := range []string{"a.txt", "sub/c.txt", "sub/deep/d.txt"} {
		s.write(t, n, n)
	}
	s.write(t, "dest/old.txt", "old")
	steps(t, s, []step{
		{`copy a.txt dest; gc dest\a.txt`, "a.txt"},
		{`(Get-Item dest\a.txt).LastWriteTime -eq (Get-Item a.txt).LastWriteTime`, "True"},
		{`copy a.txt dest\old.txt -PassThru | % FullName; gc dest\old.txt`, "C:\\dest\\old.txt\na.txt"},
		{`copy a.txt A.TXT`, `Error: Cannot overwrite the item C:\a.txt with itself. [CopyError,Microsoft.PowerShell.Commands.CopyItemCommand]`},
		{`copy sub s2; dir s2`, ""},
		{`copy sub s3 -Recurse; dir s3 -Recurse -Name`, "deep\nc.txt\ndeep\\d.txt"},
		{`copy sub dest -Recurse; Test-Path dest\sub\deep\d.txt`, "True"},
		{`md flat | Out-Null; copy sub flat -Recurse -Container:$false; dir flat -Recurse -Name`, "c.txt\nd.txt"},
		{`copy sub sub\inner -Recurse`, `Error: Cannot overwrite the item C:\sub with itself. [CopyError,Microsoft.PowerShell.Commands.CopyItemCommand]`},
		{`copy a.txt no\x.txt`, `Error: Could not find a part of the path 'C:\no\x.txt'. [CopyItemIOError,Microsoft.PowerShell.Commands.CopyItemCommand]`},
		{`copy a.txt Cert:\x`, `Error: Only files can be copied or moved, and only on C:. Export a certificate with its method Export. [NotSupported,Microsoft.PowerShell.Commands.CopyItemCommand]`},
		{`move a.txt dest`, `Error: Cannot create a file when that file already exists. [MoveItemIOError,Microsoft.PowerShell.Commands.MoveItemCommand]`},
		{`move a.txt dest -Force; Test-Path a.txt; gc dest\a.txt`, "False\na.txt"},
		{`move s3 dest\s4; Test-Path dest\s4\deep\d.txt, s3`, "True\nFalse"},
		{`move dest dest\x`, `Error: Cannot move the item at 'C:\dest' because it is in use. [InvalidOperation,Microsoft.PowerShell.Commands.MoveItemCommand]`},
		{`ren dest\a.txt B.txt -PassThru | % FullName`, `C:\dest\B.txt`},
		{`ren dest\B.txt b.txt; dir dest -Name -Filter b.txt`, `b.txt`},
		{`ren dest\b.txt old.txt`, `Error: Cannot create a file when that file already exists. [RenameItemIOError,Microsoft.PowerShell.Commands.RenameItemCommand]`},
		{`ren dest\b.txt ..\x.txt`, `Error: Cannot rename because the target specified represents a path or device name. [Argument,Microsoft.PowerShell.Commands.RenameItemCommand]`},
		{`ren dest\b.txt x.txt -WhatIf`, `Information: What if: Performing the operation "Rename File" on target "Item: C:\dest\b.txt Destination: C:\dest\x.txt".`},
	})
}

func TestContent(t *testing.T) {
	s := newShell(t)
	s.write(t, "lines.txt", "one\r\ntwo\nthree\r\n\r\n")
	s.write(t, "wide.txt", "\xff\xfe\xe9\x00\r\x00\n\x00")
	steps(t, s, []step{
		{`gc lines.txt | % { "<$_>" }`, "<one>\n<two>\n<three>\n<>"},
		{`(gc lines.txt -Raw).Length`, "18"},
		{`gc lines.txt -TotalCount 1; gc lines.txt -Tail 2 | % { "<$_>" }`, "one\n<three>\n<>"},
		{`gc lines.txt -ReadCount 0 | % { $_.Count }`, "4"},
		{`gc lines.txt -ReadCount 3 | % { $_.Count }`, "3\n1"},
		{`gc wide.txt`, "é"},
		{`(gc wide.txt -Encoding Byte -TotalCount 2) -join ','`, "255,254"},
		{`gc lines.txt -TotalCount 1 -Tail 1`, "Error: The parameters TotalCount and Tail cannot be used together. Please specify only one parameter. [InvalidOperation,Microsoft.PowerShell.Commands.GetContentCommand]"},
		{`gc lines.txt -Wait`, "Error: This shell does not wait for files to grow. Leave -Wait out. [NotSupported,Microsoft.PowerShell.Commands.GetContentCommand]"},
		{`gc none.txt`, `Error: Cannot find path 'C:\none.txt' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.GetContentCommand]`},
		{`md d | Out-Null; gc d`, `Error: Access to the path 'C:\d' is denied. [GetContentUnauthorizedAccessError,Microsoft.PowerShell.Commands.GetContentCommand]`},
		{`sc new.txt a, b; gc new.txt`, "a\nb"},
		{`1..3 | sc new.txt -PassThru`, "1\n2\n3"},
		{`4, 5 | ac new.txt; (gc new.txt) -join ' '`, "1 2 3 4 5"},
		{`sc new.txt x -NoNewline; (gc new.txt -Raw).Length`, "1"},
		{`@() | sc new.txt; (gc new.txt -Raw) -eq $null`, "True"},
		{`sc u.txt 'é' -Encoding Unicode; (gc u.txt -Encoding Byte) -join ' '`, "255 254 233 0 13 0 10 0"},
		{`ac u.txt 'é'; gc u.txt`, "é\né"},
		{`sc u8.txt 'é' -Encoding UTF8; (gc u8.txt -Encoding Byte) -join ' '`, "239 187 191 195 169 13 10"},
		{`sc a.txt 'é' -Encoding ASCII; gc a.txt`, "?"},
		{`sc b.bin 1, 2, 255 -Encoding Byte; (gc b.bin -Encoding Byte) -join ' '`, "1 2 255"},
		{`sc b.bin 256 -Encoding Byte`, "Error: Cannot proceed with byte encoding. When using byte encoding the content must be of type byte. [ArgumentException,Microsoft.PowerShell.Commands.SetContentCommand]"},
		{`sc new.txt x -WhatIf`, `Information: What if: Performing the operation "Set Content" on target "Path: C:\new.txt".`},
		{`sc no\new.txt x`, `Error: Could not find a part of the path 'C:\no\new.txt'. [SetContentIOError,Microsoft.PowerShell.Commands.SetContentCommand]`},
		{`sc *.none x`, `Error: An object at the specified path *.none does not exist, or has been filtered by the -Include or -Exclude parameter. [PathNotFound,Microsoft.PowerShell.Commands.SetContentCommand]`},
		{`sc plain.bin 65, 0, 66, 0 -Encoding Byte; gc plain.bin -Encoding Unicode; gc u.txt -Encoding ASCII`, "AB\né\né"},
		{`1..3000 | % { 'x' * 1000 } | sc big.txt; (Get-Item big.txt).Length; (gc big.txt).Count`, "3006000\n3000"},
		{`'a', 'b' | sc no\x.txt, ok.txt; gc ok.txt`, "a\nb\nError: Could not find a part of the path 'C:\\no\\x.txt'. [SetContentIOError,Microsoft.PowerShell.Commands.SetContentCommand]"},
		{`clc u.txt; (Get-Item u.txt).Length`, "0"},
		{`'text' > out.txt; 'more' >> out.txt; gc out.txt`, "text\nmore"},
		{`[IO.File]::WriteAllText('C:\io.txt', 'x'); gc io.txt`, "x"},
		{`[IO.File]::ReadAllText('C:\none\io.txt')`, `Error: Exception calling "ReadAllText" with "1" argument(s): "Could not find a part of the path 'C:\none\io.txt'." [DirectoryNotFoundException]`},
	})
}

func TestReadOnlyFilesAreWrittenByForceOnly(t *testing.T) {
	s := newShell(t)
	s.write(t, "a.txt", "old")
	if err := os.Chmod(filepath.Join(s.dir, "a.txt"), 0o400); err != nil {
		t.Fatal(err)
	}
	steps(t, s, []step{
		{`sc a.txt new`, `Error: Access to the path 'C:\a.txt' is denied. [SetContentUnauthorizedAccessError,Microsoft.PowerShell.Commands.SetContentCommand]`},
		{`sc a.txt new -Force; gc a.txt`, `new`},
	})
}
