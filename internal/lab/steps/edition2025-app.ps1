Connect-MsolService

$cer = New-Object System.Security.Cryptography.X509Certificates.X509Certificate
$cer.Import("$env:SYSTEMDRIVE\OAuthConfig\OAuthCert.cer")
$credValue = [System.Convert]::ToBase64String($cer.GetRawCertData())

$app = New-MsolServicePrincipal -DisplayName "ExchangeServerApp-<organization id>" -Type Asymmetric -Usage Verify -Value $credValue
$exchange = Get-MsolServicePrincipal -ServicePrincipalName 00000002-0000-0ff1-ce00-000000000000

New-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -PrincipalId $app.ObjectId -ResourceId $exchange.ObjectId -Id dc890d15-9560-4a4c-9b7f-a736ec74ec40

Set-Content -Path "$env:SYSTEMDRIVE\OAuthConfig\AppId.txt" -Value $app.AppPrincipalId
