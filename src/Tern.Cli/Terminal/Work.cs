using Spectre.Console;

namespace Tern.Cli.Terminal;

/// <summary>Long work with a sign of life on standard error when a person looks at it, and silence otherwise.</summary>
internal static class Work
{
    /// <summary>Work of unknown length.</summary>
    public static T Wait<T>(string title, Func<T> work) =>
        Screen.ErrorIsRich ? Screen.Error.Status().Start(Markup.Escape(title), _ => work()) : work();

    /// <summary>Work that reports how much of it is done, in [0, 1].</summary>
    public static T Measure<T>(string title, Func<Action<double>, T> work)
    {
        if (!Screen.ErrorIsRich)
            return work(_ => { });

        return Screen.Error.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                ProgressTask task = context.AddTask(Markup.Escape(title), maxValue: 1);
                return work(fraction => task.Value = fraction);
            });
    }
}
