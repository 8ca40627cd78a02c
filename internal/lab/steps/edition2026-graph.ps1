Set-AuthServer EvoSTS -GraphBaseUrl <your Microsoft Graph endpoint>
