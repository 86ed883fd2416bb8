using System.Diagnostics;
using System.Globalization;
using Spectre.Console;
using Tern.Hub;

namespace Tern.Cli.Terminal;

/// <summary>A transfer on standard error: a bar with rate and time left for a person, a line now and then for a file or a pipe.</summary>
internal static class Transfer
{
    private static readonly TimeSpan s_frame = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_line = TimeSpan.FromSeconds(10);

    /// <summary>Runs work that tells <paramref name="progress"/> how far it is.</summary>
    public static async Task<T> Show<T>(TransferProgress progress, Func<Task<T>> work)
    {
        // On its own thread: copying and hashing would hold up the display otherwise.
        if (!Screen.ErrorIsRich)
            return await Follow(Task.Run(work), s_line, Lines(progress));

        return await Screen.Error.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new DownloadedColumn(), new TransferSpeedColumn(), new RemainingTimeColumn())
            .StartAsync(async context =>
            {
                ProgressTask bar = context.AddTask("…", autoStart: true, maxValue: 1);
                return await Follow(Task.Run(work), s_frame, () =>
                {
                    bar.Description = Markup.Escape(progress.Doing);
                    bar.MaxValue = Math.Max(1, progress.Total);
                    bar.Value = progress.Done;
                });
            });
    }

    /// <summary>Work on a known number of bytes that reports the share that is done, in [0, 1].</summary>
    public static T Measure<T>(string title, long bytes, Func<Action<double>, T> work)
    {
        var progress = new TransferProgress { Doing = title, Total = bytes };
        return Show(progress, () => Task.FromResult(work(share => progress.Add((long)(share * bytes) - progress.Done)))).GetAwaiter().GetResult();
    }

    private static async Task<T> Follow<T>(Task<T> work, TimeSpan interval, Action show)
    {
        while (await Task.WhenAny(work, Task.Delay(interval)) != work)
            show();
        return await work;
    }

    private static Action Lines(TransferProgress progress)
    {
        long start = Stopwatch.GetTimestamp();
        long? first = null;
        return () =>
        {
            if (progress.Total == 0)
                return;
            long done = progress.Done;
            first ??= done;
            double seconds = (Stopwatch.GetElapsedTime(start) - s_line).TotalSeconds;
            double rate = seconds > 1 ? (done - first.Value) / seconds : 0;
            string left = rate > 0 ? $", {Sizes.Text((long)rate)}/s, {Time((progress.Total - done) / rate)} left" : "";
            Screen.Note(string.Create(CultureInfo.InvariantCulture, $"{progress.Doing}: {Sizes.Text(done)} of {Sizes.Text(progress.Total)} ({100.0 * done / progress.Total:F0} %){left}"));
        };
    }

    private static string Time(double seconds)
    {
        var time = TimeSpan.FromSeconds(Math.Min(seconds, 359_999));
        return time.TotalHours >= 1
            ? string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours} h {time.Minutes} min")
            : time.TotalMinutes >= 1 ? string.Create(CultureInfo.InvariantCulture, $"{time.Minutes} min {time.Seconds} s") : string.Create(CultureInfo.InvariantCulture, $"{time.Seconds} s");
    }
}
