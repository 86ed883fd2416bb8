using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Tern.Tests.Hub;

/// <summary>A request as it arrived.</summary>
internal sealed record FakeRequest(string Method, string Path, IReadOnlyDictionary<string, string> Headers)
{
    public string? Header(string name) => Headers.TryGetValue(name, out string? value) ? value : null;
}

/// <summary>What to answer, and how badly.</summary>
internal sealed record FakeAnswer(int Status, byte[] Body)
{
    public Dictionary<string, string> Headers { get; init; } = [];

    /// <summary>The connection ends after this many bytes of the body.</summary>
    public int? CutAfter { get; init; }

    /// <summary>Nothing comes after this many bytes of the body, but the connection stays.</summary>
    public int? StallAfter { get; init; }

    /// <summary>The body comes in pieces of this many bytes with a pause before each.</summary>
    public (int Bytes, TimeSpan Pause)? Drip { get; init; }

    /// <summary>No Content-Length: the end of the connection is the end of the body.</summary>
    public bool IsUnsized { get; init; }
}

/// <summary>A file of a repository.</summary>
internal sealed record FakeFile(string Path, byte[] Contents, bool IsLarge = true)
{
    public string Sha256 => Convert.ToHexStringLower(SHA256.HashData(Contents));

#pragma warning disable CA5350 // git's hash
    public string GitSha1 => Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {Contents.Length}\0"), .. Contents]));
#pragma warning restore CA5350
}

/// <summary>
/// A hub on this machine, on bare sockets so that it can do what no HTTP library lets a server do: lists, redirects, ranges, and every
/// kind of misbehaviour that <see cref="Misbehave"/> asks for.
/// </summary>
internal sealed class FakeHub : IDisposable
{
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private long _bodyBytes;

    public FakeHub()
    {
        _listener.Start(64);
        _ = Accept();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public Uri Address => new($"http://127.0.0.1:{Port}");

    /// <summary>Files by owner/name.</summary>
    public ConcurrentDictionary<string, FakeFile[]> Repositories { get; } = new();

    /// <summary>Every request so far.</summary>
    public ConcurrentQueue<FakeRequest> Requests { get; } = new();

    /// <summary>Bytes of files (not lists) that were sent.</summary>
    public long BodyBytes => Interlocked.Read(ref _bodyBytes);

    /// <summary>Sees every request first; null leaves the answer to the hub, and an answer may be made from the hub's own.</summary>
    public Func<FakeRequest, Func<FakeAnswer>, FakeAnswer?>? Misbehave { get; set; }

    /// <summary>Where files are served; null is here.</summary>
    public Uri? Storage { get; set; }

    public bool HasRanges { get; set; } = true;

    /// <summary>What the version of a file is called.</summary>
    public Func<FakeFile, string> ETag { get; set; } = f => $"\"{f.Sha256[..16]}\"";

    /// <summary>Whether the list tells hashes and sizes.</summary>
    public bool ListsBlobs { get; set; } = true;

    /// <summary>Whether the list tells hashes of large files, which some mirrors leave out of what they say of them.</summary>
    public bool ListsSha256 { get; set; } = true;

    /// <summary>What the list says the SHA-256 is, where it lies.</summary>
    public string? Lie { get; set; }

    public void ForgetRequests()
    {
        Requests.Clear();
        Interlocked.Exchange(ref _bodyBytes, 0);
    }

    public void Dispose()
    {
        _stop.Cancel();
        _listener.Dispose();
    }

    public static byte[] RandomBytes(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private async Task Accept()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                _ = Serve(await _listener.AcceptTcpClientAsync(_stop.Token));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task Serve(TcpClient client)
    {
        using (client)
        {
            client.NoDelay = true;
            try
            {
                NetworkStream stream = client.GetStream();
                while (await ReadRequest(stream) is { } request)
                {
                    Requests.Enqueue(request);
                    FakeAnswer answer = Misbehave?.Invoke(request, () => Answer(request)) ?? Answer(request);
                    if (!await Send(stream, request, answer))
                        return;
                }
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
            {
                // The client went away.
            }
        }
    }

    private static async Task<FakeRequest?> ReadRequest(NetworkStream stream)
    {
        var head = new StringBuilder();
        byte[] one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (await stream.ReadAsync(one) == 0)
                return null;
            head.Append((char)one[0]);
        }

        string[] lines = head.ToString().Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        string[] first = lines[0].Split(' ');

        // A proxy is asked for whole addresses.
        string target = first[1].StartsWith("http://", StringComparison.Ordinal) ? new Uri(first[1]).PathAndQuery : first[1];
        return new FakeRequest(
            first[0],
            target,
            lines.Skip(1).Select(l => l.Split(": ", 2)).ToDictionary(p => p[0], p => p[1], StringComparer.OrdinalIgnoreCase));
    }

    private FakeAnswer Answer(FakeRequest request)
    {
        string[] parts = [.. request.Path.Split('?')[0].Trim('/').Split('/').Select(Uri.UnescapeDataString)];
        if (parts is ["api", "models", var owner, var name, "revision", _])
            return List($"{owner}/{name}");
        if (parts is ["storage", var hash])
            return Repositories.Values.SelectMany(f => f).FirstOrDefault(f => f.Sha256 == hash) is { } stored ? File(request, stored) : Missing("EntryNotFound");
        if (parts.Length < 5 || parts[2] != "resolve" || !Repositories.TryGetValue($"{parts[0]}/{parts[1]}", out FakeFile[]? files))
            return Missing("RepoNotFound");
        if (files.FirstOrDefault(f => f.Path == string.Join('/', parts[4..])) is not { } file)
            return Missing("EntryNotFound");

        var linked = new Dictionary<string, string>
        {
            ["X-Repo-Commit"] = Commit,
            ["X-Linked-ETag"] = $"\"{(file.IsLarge ? file.Sha256 : file.GitSha1)}\"",
            ["X-Linked-Size"] = file.Contents.Length.ToString(CultureInfo.InvariantCulture),
        };
        if (Storage is { } storage)
            return new FakeAnswer(302, []) { Headers = new(linked) { ["Location"] = $"{storage}storage/{file.Sha256}?signature=secret" } };
        FakeAnswer here = File(request, file);
        foreach ((string key, string value) in linked)
            here.Headers[key] = value;
        return here;
    }

    private static FakeAnswer Missing(string code) =>
        new(code == "RepoNotFound" ? 401 : 404, "{}"u8.ToArray()) { Headers = { ["X-Error-Code"] = code } };

    private FakeAnswer List(string repository)
    {
        if (!Repositories.TryGetValue(repository, out FakeFile[]? files))
            return Missing("RepoNotFound");
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory))
        {
            json.WriteStartObject();
            json.WriteString("id", repository);
            json.WriteString("sha", Commit);
            json.WriteStartObject("cardData");
            json.WriteString("license", "mit");
            json.WriteEndObject();
            json.WriteStartArray("siblings");
            foreach (FakeFile file in files)
            {
                json.WriteStartObject();
                json.WriteString("rfilename", file.Path);
                if (ListsBlobs)
                {
                    json.WriteNumber("size", file.Contents.Length);
                    json.WriteString("blobId", file.IsLarge ? new string('0', 40) : file.GitSha1);
                    if (file.IsLarge)
                    {
                        json.WriteStartObject("lfs");
                        if (ListsSha256)
                            json.WriteString("sha256", Lie ?? file.Sha256);
                        json.WriteNumber("size", file.Contents.Length);
                        json.WriteEndObject();
                    }
                }

                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return new FakeAnswer(200, memory.ToArray());
    }

    private FakeAnswer File(FakeRequest request, FakeFile file)
    {
        string etag = ETag(file);
        bool wantsRange = HasRanges && request.Header("Range") is not null && (request.Header("If-Range") is not { } version || version == etag);
        if (!wantsRange)
            return new FakeAnswer(200, file.Contents) { Headers = { ["ETag"] = etag } };
        string[] range = request.Header("Range")!["bytes=".Length..].Split('-');
        int start = int.Parse(range[0], CultureInfo.InvariantCulture);
        int end = Math.Min(int.Parse(range[1], CultureInfo.InvariantCulture), file.Contents.Length - 1);
        return start > end
            ? new FakeAnswer(416, [])
            : new FakeAnswer(206, file.Contents[start..(end + 1)])
            {
                Headers = { ["ETag"] = etag, ["Content-Range"] = string.Create(CultureInfo.InvariantCulture, $"bytes {start}-{end}/{file.Contents.Length}") },
            };
    }

    private async Task<bool> Send(NetworkStream stream, FakeRequest request, FakeAnswer answer)
    {
        var head = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"HTTP/1.1 {answer.Status} Fake\r\n"));
        foreach ((string key, string value) in answer.Headers)
            head.Append(CultureInfo.InvariantCulture, $"{key}: {value}\r\n");
        if (!answer.IsUnsized && !answer.Headers.ContainsKey("Content-Length"))
            head.Append(CultureInfo.InvariantCulture, $"Content-Length: {answer.Body.Length}\r\n");
        if (answer.IsUnsized)
            head.Append("Connection: close\r\n");
        await stream.WriteAsync(Encoding.ASCII.GetBytes(head.Append("\r\n").ToString()));
        if (request.Method == "HEAD")
            return true;

        int length = Math.Min(answer.Body.Length, answer.CutAfter ?? answer.StallAfter ?? int.MaxValue);
        int step = answer.Drip?.Bytes ?? Math.Max(1, length);
        for (int offset = 0; offset < length; offset += step)
        {
            if (answer.Drip is { } drip)
                await Task.Delay(drip.Pause, _stop.Token);
            int count = Math.Min(step, length - offset);
            await stream.WriteAsync(answer.Body.AsMemory(offset, count));
            if (answer.Status is 200 or 206 && !request.Path.StartsWith("/api/", StringComparison.Ordinal))
                Interlocked.Add(ref _bodyBytes, count);
        }

        if (answer.StallAfter is not null)
            await Task.Delay(Timeout.Infinite, _stop.Token);
        return answer.CutAfter is null && !answer.IsUnsized;
    }
}
