using Spectre.Console;

namespace Tern.Cli.Terminal;

/// <summary>Long work on bytes, with their rate, when a person looks at it.</summary>
internal static class Transfer
{
    /// <summary>Work on a known number of bytes that reports the share that is done, in [0, 1].</summary>
    public static T Measure<T>(string title, long bytes, Func<Action<double>, T> work)
    {
        if (!Screen.ErrorIsRich)
            return work(_ => { });

        return Screen.Error.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new TransferSpeedColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                ProgressTask task = context.AddTask(Markup.Escape(title), maxValue: bytes);
                return work(fraction => task.Value = fraction * bytes);
            });
    }
}
