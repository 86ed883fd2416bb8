using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Tern.Hub;

/// <summary>A response, and what the hub itself said about the file on the way to it (storage hosts know nothing of repositories).</summary>
internal sealed record HubResponse(HttpResponseMessage Message, Uri Address, string? LinkedETag, long? LinkedBytes) : IDisposable
{
    public void Dispose() => Message.Dispose();
}

/// <summary>
/// HTTP as the Hugging Face hub speaks it: a JSON list of a repository's files, and files that the hub answers with a redirect to a storage
/// host. Redirects are followed here and not by the HTTP client, because the token may go to the hub's own host only.
/// </summary>
internal sealed class HubClient : IDisposable
{
    private const int RedirectsMax = 10;
    private const int ListingBytesMax = 64 << 20;
    private static readonly JsonDocumentOptions s_json = new() { MaxDepth = 64 };

    private readonly HubSettings _settings;
    private readonly HttpClient _http;

    /// <param name="settings">The hub.</param>
    /// <param name="say">Is told one line at a time what goes wrong for a while.</param>
    public HubClient(HubSettings settings, Action<string> say)
    {
        _settings = settings;
        Backoff = new Backoff(settings, say);
        _http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = settings.StallTimeout })
        {
            Timeout = Timeout.InfiniteTimeSpan, // a slow download is a good one; what stands still is noticed read by read
        };
        _http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("tern", typeof(HubClient).Assembly.GetName().Version?.ToString(3)));
        _http.DefaultRequestHeaders.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
    }

    public Backoff Backoff { get; }

    /// <summary>Whether the token may be sent to an address: to the hub's own scheme, host and port, and to nothing else.</summary>
    public static bool MayCarryToken(Uri hub, Uri target) =>
        hub.Scheme == target.Scheme && hub.Host.Equals(target.Host, StringComparison.OrdinalIgnoreCase) && hub.Port == target.Port;

    /// <summary>Where a redirect leads.</summary>
    /// <exception cref="TernException">Nowhere, to another protocol, or from https to http.</exception>
    public static Uri NextHop(Uri from, Uri? location)
    {
        if (location is null)
            throw new TernException(ErrorKind.Format, $"{Plain(from)}: the server redirects to nowhere; check the address of the hub or mirror");
        var next = new Uri(from, location);
        if (next.Scheme is not ("http" or "https"))
            throw new TernException(ErrorKind.Unsupported, $"{Plain(from)}: the server redirects to {next.Scheme}:, which is refused");
        if (from.Scheme == "https" && next.Scheme == "http")
            throw new TernException(ErrorKind.Unsupported, $"{Plain(from)}: the server redirects from https to http ({Plain(next)}), which is refused");
        return next;
    }

    /// <summary>The address of a file at a commit or revision.</summary>
    public Uri FileAddress(string repository, string revision, string path) =>
        new($"{Base}/{Escaped(repository)}/resolve/{Uri.EscapeDataString(revision)}/{Escaped(path)}");

    /// <summary>What a repository holds at a revision.</summary>
    /// <exception cref="TernException">It does not exist, needs a token, or the answer is no list of files.</exception>
    public Task<Repository> List(string repository, string? revision, CancellationToken cancellation)
    {
        var address = new Uri($"{Base}/api/models/{Escaped(repository)}/revision/{Uri.EscapeDataString(revision ?? "main")}?blobs=true");
        return Backoff.Retry(
            repository,
            async token =>
            {
                using HubResponse response = await Send(HttpMethod.Get, address, null, token);
                if (!response.Message.IsSuccessStatusCode)
                    throw Refused(response, repository, $"revision '{revision ?? "main"}'");
                byte[] body = await ReadAll(response.Message, token);
                try
                {
                    using JsonDocument document = JsonDocument.Parse(body, s_json);
                    return Repository.From(document.RootElement, repository);
                }
                catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
                {
                    throw new TernException(ErrorKind.Format, $"{Plain(address)}: the answer is no list of a repository's files ({e.Message.TrimEnd('.')}); check that TERN_HUB names a hub", e);
                }
            },
            cancellation);
    }

    /// <summary>Sends a request and follows redirects. The body is not read yet; the status may be any that is not worth another try.</summary>
    /// <exception cref="TransientException">The server is busy or broken, or cannot be reached.</exception>
    public async Task<HubResponse> Send(HttpMethod method, Uri address, Action<HttpRequestMessage>? prepare, CancellationToken cancellation)
    {
        string? linkedETag = null;
        long? linkedBytes = null;
        Uri current = address;
        for (int hop = 0; hop <= RedirectsMax; hop++)
        {
            using var request = new HttpRequestMessage(method, current);
            prepare?.Invoke(request);
            if (_settings.Token is { } bearer && MayCarryToken(_settings.Hub, current))
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", bearer);

            HttpResponseMessage message = await SendOnce(request, cancellation);
            if (MayCarryToken(_settings.Hub, current))
            {
                linkedETag ??= Header(message, "X-Linked-ETag");
                linkedBytes ??= long.TryParse(Header(message, "X-Linked-Size"), NumberStyles.None, CultureInfo.InvariantCulture, out long bytes) ? bytes : null;
            }

            if (message.StatusCode is HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect)
            {
                // Storage hosts sign addresses for one method; what the hub knows is here already.
                if (method == HttpMethod.Head && linkedETag is not null && linkedBytes is not null)
                    return new HubResponse(message, current, linkedETag, linkedBytes);
                using (message)
                    current = NextHop(current, message.Headers.Location);
                continue;
            }

            if (message.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests || (int)message.StatusCode >= 500)
            {
                using (message)
                    throw new TransientException(string.Create(CultureInfo.InvariantCulture, $"{current.Host} answers {(int)message.StatusCode} ({message.ReasonPhrase})"), Backoff.RetryAfter(message.Headers.RetryAfter));
            }

            return new HubResponse(message, current, linkedETag, linkedBytes);
        }

        throw new TernException(ErrorKind.Format, $"{Plain(address)}: more than {RedirectsMax} redirects; check the address of the hub or mirror");
    }

    /// <summary>Work on the network that is given up when nothing happens for the stall timeout.</summary>
    public async Task<T> BeforeStall<T>(Func<CancellationToken, Task<T>> work, CancellationToken cancellation)
    {
        using var stall = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        stall.CancelAfter(_settings.StallTimeout);
        try
        {
            return await work(stall.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new TransientException(string.Create(CultureInfo.InvariantCulture, $"the server sends nothing for {_settings.StallTimeout.TotalSeconds:0.#} s"));
        }
        catch (HttpRequestException e)
        {
            throw new TransientException(e.HttpRequestError == HttpRequestError.Unknown ? e.Message : $"{e.Message.TrimEnd('.')} [{e.HttpRequestError}]", null, e);
        }
        catch (IOException e)
        {
            throw new TransientException($"the connection was cut: {e.Message.TrimEnd('.')}", null, e);
        }
    }

    /// <summary>The sentence for a response that says no.</summary>
    public TernException Refused(HubResponse response, string repository, string what)
    {
        string host = _settings.Hub.Host;
        string? code = Header(response.Message, "X-Error-Code");
        string? said = Header(response.Message, "X-Error-Message");
        string reason = said is null ? "" : $" (the hub says: {said})";
        return (int)response.Message.StatusCode switch
        {
            401 or 403 => new TernException(
                ErrorKind.File,
                $"{repository}: {host} refuses access{reason}: the repository does not exist, is private, or is gated; " + (_settings.Token is null
                    ? $"accept its licence on the web page and set {HubEnvironment.HuggingFaceToken} to an access token"
                    : $"check that the token in {HubEnvironment.Token} or {HubEnvironment.HuggingFaceToken} may read it and that its licence was accepted on the web page")),
            404 => new TernException(
                ErrorKind.File,
                code == "RepoNotFound" ? $"{repository}: there is no such repository on {host}{reason}; 'tern list --available' shows names" : $"{repository}: {what} was not found on {host}{reason}; check the name"),
            int status => new TernException(ErrorKind.File, string.Create(CultureInfo.InvariantCulture, $"{repository}: {host} answers {status} ({response.Message.ReasonPhrase}) for {what}{reason}")),
        };
    }

    public void Dispose() => _http.Dispose();

    /// <summary>A header's first value.</summary>
    public static string? Header(HttpResponseMessage message, string name) =>
        message.Headers.TryGetValues(name, out IEnumerable<string>? values) ? values.FirstOrDefault() : null;

    private string Base => _settings.Hub.AbsoluteUri.TrimEnd('/');

    private static string Escaped(string path) => string.Join('/', path.Split('/').Select(Uri.EscapeDataString));

    /// <summary>Without the query, where storage hosts carry signatures.</summary>
    private static string Plain(Uri address) => address.GetLeftPart(UriPartial.Path);

    private Task<HttpResponseMessage> SendOnce(HttpRequestMessage request, CancellationToken cancellation) =>
        BeforeStall(token => _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, token), cancellation);

    private async Task<byte[]> ReadAll(HttpResponseMessage message, CancellationToken cancellation)
    {
        using Stream stream = await message.Content.ReadAsStreamAsync(cancellation);
        using var body = new MemoryStream();
        byte[] block = new byte[1 << 16];
        while (true)
        {
            int count = await BeforeStall(token => stream.ReadAsync(block, token).AsTask(), cancellation);
            if (count == 0)
                return body.ToArray();
            if (body.Length + count > ListingBytesMax)
                throw new TernException(ErrorKind.Limit, $"{_settings.Hub.Host}: the list of files is longer than {ListingBytesMax} bytes");
            body.Write(block, 0, count);
        }
    }
}
