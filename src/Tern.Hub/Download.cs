using System.Globalization;
using System.Net;
using System.Net.Http.Headers;

namespace Tern.Hub;

/// <summary>
/// One file from a server into a partial file, by ranges that are fetched side by side:
/// <code>
/// file      ├────────┼────────┼────────┼────────┼────────┤     pieces that are missing
/// stream 1   ███████▶                                          each stream takes the next piece when it is done with one,
/// stream 2            ████▶                                    and a piece that is cut goes on where it stopped
/// </code>
/// The first answer decides: 206 lets the other streams begin, 200 is the whole file in one stream. Every request says which version of the
/// file it wants to go on with (If-Range); when the server has another one, everything begins anew.
/// </summary>
internal sealed class Download(HubClient client, HubSettings settings, Uri origin, string name, PartialFile partial, TransferProgress progress)
{
    private const int BufferBytes = 128 << 10;
    private const int RestartsMax = 3;

    /// <summary>The file behind the address is another one than before.</summary>
    private sealed class ChangedException(string message) : Exception(message);

    private readonly Lock _lock = new();
    private Queue<(long Start, long End)> _pieces = new();

    /// <summary>Where the last redirect led; asked there again until it says no.</summary>
    private Uri? _storage;

    /// <summary>Fetches what is missing. The contents are not checked yet.</summary>
    /// <exception cref="TernException">The server refuses, fails too often or sends something else; or the disk is full.</exception>
    public async Task Run(CancellationToken cancellation)
    {
        for (int restarts = 0; ; restarts++)
        {
            try
            {
                // Once, unless a server that sent the whole file at first sends ranges after a cut.
                while (partial.Missing(partial.Length).Count > 0)
                    await FetchMissing(cancellation);
                return;
            }
            catch (ChangedException e)
            {
                if (restarts == RestartsMax)
                    throw new TernException(ErrorKind.Format, $"{name}: {e.Message}, again and again; try later or another mirror", e);
                progress.Add(-partial.DoneBytes);
                partial.Restart();
            }
            finally
            {
                SaveState();
            }
        }
    }

    private async Task FetchMissing(CancellationToken cancellation)
    {
        long pieceBytes = Math.Clamp(partial.Length / (4 * settings.Streams), settings.RangeBytesMin, settings.RangeBytesMax);
        _pieces = new Queue<(long Start, long End)>(partial.Missing(pieceBytes));

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var ranges = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        int streams = Math.Min(settings.Streams, _pieces.Count);
        Task[] tasks = [.. Enumerable.Range(0, streams).Select(i => Stream(i == 0, ranges, stop))];
        await Task.WhenAll(tasks);
    }

    private async Task Stream(bool isFirst, TaskCompletionSource<bool> ranges, CancellationTokenSource stop)
    {
        try
        {
            if (!isFirst && !await ranges.Task.WaitAsync(stop.Token))
                return;
            while (TryTakePiece(out (long Start, long End) piece))
                await FetchPiece(piece.Start, piece.End, ranges, stop.Token);
            ranges.TrySetResult(false);
        }
        catch
        {
            await stop.CancelAsync();
            throw;
        }
    }

    private bool TryTakePiece(out (long Start, long End) piece)
    {
        lock (_lock)
            return _pieces.TryDequeue(out piece);
    }

    /// <summary>One piece, in as many requests as it takes.</summary>
    private async Task FetchPiece(long start, long end, TaskCompletionSource<bool> ranges, CancellationToken cancellation)
    {
        int failures = 0;
        while (start < end)
        {
            long before = start;
            try
            {
                using HubResponse response = await Ask(start, end, cancellation);
                if (response.Message.StatusCode == HttpStatusCode.PartialContent)
                {
                    CheckRange(response.Message, start);
                    ranges.TrySetResult(true);
                    start = await Copy(response.Message, start, end, reached => start = reached, cancellation);
                    if (start < end && start == before)
                        throw new TransientException("the server sends an empty range");
                }
                else
                {
                    // The whole file in one stream: nothing of it can be asked for in part, so a cut begins at its first byte again.
                    await CopyWhole(response.Message, ranges, cancellation);
                    return;
                }
            }
            catch (TransientException e)
            {
                failures = start > before ? 1 : failures + 1;
                SaveState();
                await client.Backoff.Wait(name, failures, e, cancellation);
            }
        }
    }

    private async Task<HubResponse> Ask(long start, long end, CancellationToken cancellation)
    {
        Uri asked = _storage ?? origin;
        HubResponse response = await client.Send(
            HttpMethod.Get,
            asked,
            request =>
            {
                request.Headers.Range = new RangeHeaderValue(start, end - 1);
                if (partial.ETag is { } etag && !etag.StartsWith("W/", StringComparison.Ordinal))
                    request.Headers.TryAddWithoutValidation("If-Range", etag);
            },
            cancellation);
        _storage = response.Address;
        if (response.Message.StatusCode is HttpStatusCode.PartialContent or HttpStatusCode.OK)
        {
            if (response.LinkedBytes is { } bytes && bytes != partial.Length)
                throw WrongLength(response, bytes);
            return response;
        }

        using (response)
        {
            if (response.Message.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
                throw new ChangedException($"the server's file ends before byte {end}");
            if (asked == origin || (int)response.Message.StatusCode is not (401 or 403 or 404 or 410))
                throw client.Refused(response, name, "the file");
        }

        // Addresses of storage hosts are signed for a while; the hub gives a new one.
        _storage = null;
        throw new TransientException("the storage host's address has run out");
    }

    /// <summary>A 206 must be the range that was asked for, of the file that was asked for.</summary>
    private void CheckRange(HttpResponseMessage message, long start)
    {
        ContentRangeHeaderValue? range = message.Content.Headers.ContentRange;
        if (range is not { HasRange: true } || range.From != start || (range.HasLength && range.Length != partial.Length))
            throw new ChangedException(string.Create(CultureInfo.InvariantCulture, $"the server sends range '{range}' where byte {start} of {partial.Length} was asked for"));
        CheckVersion(message);
    }

    private void CheckVersion(HttpResponseMessage message)
    {
        string? etag = message.Headers.ETag?.ToString();
        lock (_lock)
        {
            if (partial.ETag is null)
                partial.Know(etag);
            else if (etag is not null && etag != partial.ETag)
                throw new ChangedException($"the file changed during the download (its version was {partial.ETag} and is {etag})");
        }
    }

    private async Task CopyWhole(HttpResponseMessage message, TaskCompletionSource<bool> ranges, CancellationToken cancellation)
    {
        if (ranges.Task is { IsCompletedSuccessfully: true, Result: true })
            throw new ChangedException("the server sends the whole file where it sent ranges before");
        if (message.Content.Headers.ContentLength is { } bytes && bytes != partial.Length)
            throw new TernException(ErrorKind.Format, string.Create(CultureInfo.InvariantCulture, $"{name}: the hub's list says {partial.Length} bytes, the server has {bytes}; try another mirror"));

        lock (_lock)
            _pieces.Clear();
        progress.Add(-partial.DoneBytes);
        partial.Restart();
        CheckVersion(message);
        long reached = await Copy(message, 0, partial.Length, _ => { }, cancellation);
        if (reached < partial.Length)
            throw new TransientException(string.Create(CultureInfo.InvariantCulture, $"the server ends the file at byte {reached} of {partial.Length}"));
    }

    /// <summary>Body to disk; returns where it stopped, at most at <paramref name="end"/>.</summary>
    private async Task<long> Copy(HttpResponseMessage message, long start, long end, Action<long> reached, CancellationToken cancellation)
    {
        using Stream body = await message.Content.ReadAsStreamAsync(cancellation);
        byte[] buffer = new byte[BufferBytes];
        while (start < end)
        {
            int count = await client.BeforeStall(token => body.ReadAsync(buffer, token).AsTask(), cancellation);
            if (count == 0)
                break;
            if (count > end - start)
                throw new ChangedException(string.Create(CultureInfo.InvariantCulture, $"the server sends more than the {partial.Length} bytes that the hub's list promises"));
            OnDisk(() => partial.Write(buffer.AsSpan(0, count), start));
            start += count;
            progress.Add(count);
            reached(start);
        }

        return start;
    }

    private void SaveState() => OnDisk(partial.SaveState);

    private void OnDisk(Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string free = StoreFiles.FreeBytes(Path.GetDirectoryName(partial.Path)!) is { } bytes ? string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes are free there, ") : "";
            throw new TernException(
                ErrorKind.File,
                string.Create(CultureInfo.InvariantCulture, $"{partial.Path}: cannot be written: {e.Message.TrimEnd('.')}; {free}the file needs {partial.Length}; make room, or set {HubEnvironment.Models} to a folder on another disk; what was downloaded is kept"),
                e);
        }
    }

    private TernException WrongLength(HubResponse response, long bytes)
    {
        response.Dispose();
        return new TernException(ErrorKind.Format, string.Create(CultureInfo.InvariantCulture, $"{name}: the hub's list says {partial.Length} bytes, its file server {bytes}; try again later"));
    }
}
