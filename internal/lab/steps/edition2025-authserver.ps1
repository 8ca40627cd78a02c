$appId = Get-Content "$env:SYSTEMDRIVE\OAuthConfig\AppId.txt"
Set-AuthServer EvoSTS -ApplicationIdentifier $appId -DomainName <your service target address>,<your verified-domain>
