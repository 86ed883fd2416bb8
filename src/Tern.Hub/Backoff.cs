using System.Globalization;
using System.Net.Http.Headers;

namespace Tern.Hub;

/// <summary>How long to wait before a request is tried again: twice as long each time, spread by chance, or as long as the server says.</summary>
/// <param name="settings">How often, and by which clock.</param>
/// <param name="say">Is told of waits that a person would wonder about.</param>
internal sealed class Backoff(HubSettings settings, Action<string> say)
{
    private static readonly TimeSpan s_first = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan s_worthSaying = TimeSpan.FromSeconds(2);

    private readonly Lock _saying = new(); // streams of one file wait side by side

    /// <summary>Servers that ask for more than this are left alone.</summary>
    private static readonly TimeSpan s_retryAfterMax = TimeSpan.FromMinutes(2);

    /// <summary>Runs work until it succeeds, fails for good, or has failed <see cref="HubSettings.Attempts"/> times.</summary>
    public async Task<T> Retry<T>(string what, Func<CancellationToken, Task<T>> work, CancellationToken cancellation)
    {
        for (int failures = 1; ; failures++)
        {
            try
            {
                return await work(cancellation);
            }
            catch (TransientException e)
            {
                await Wait(what, failures, e, cancellation);
            }
        }
    }

    /// <summary>Waits after the given number of failures in a row.</summary>
    /// <exception cref="TernException">There were too many, or the server asks for too long a wait.</exception>
    public async Task Wait(string what, int failures, TransientException failure, CancellationToken cancellation)
    {
        if (failures >= settings.Attempts)
            throw new TernException(ErrorKind.File, string.Create(CultureInfo.InvariantCulture, $"{what}: {failure.Message}, {failures} times in a row; what was downloaded is kept: run the same command again to go on"), failure);
        if (failure.RetryAfter > s_retryAfterMax)
            throw new TernException(ErrorKind.File, string.Create(CultureInfo.InvariantCulture, $"{what}: {failure.Message}, and the server asks to come back in {failure.RetryAfter.Value.TotalSeconds:F0} s; what was downloaded is kept: run the same command again then"), failure);
        TimeSpan wait = failure.RetryAfter ?? Delay(failures);
        if (wait >= s_worthSaying)
        {
            lock (_saying)
                say(string.Create(CultureInfo.InvariantCulture, $"{what}: {failure.Message}; trying again in {wait.TotalSeconds:F0} s"));
        }

        await Task.Delay(wait, settings.Clock, cancellation);
    }

    /// <summary>The wait that a Retry-After header asks for, in seconds or as a date.</summary>
    public TimeSpan? RetryAfter(RetryConditionHeaderValue? header)
    {
        TimeSpan? wait = header?.Delta ?? (header?.Date is { } date ? date - settings.Clock.GetUtcNow() : null);
        return wait < TimeSpan.Zero ? TimeSpan.Zero : wait;
    }

    private TimeSpan Delay(int failures)
    {
        TimeSpan whole = s_first * Math.Pow(2, Math.Min(failures - 1, 16));
        double share;
        lock (settings.Jitter)
            share = settings.Jitter.NextDouble();
        return (whole < s_longest ? whole : s_longest) * (0.5 + (share / 2));
    }
}
