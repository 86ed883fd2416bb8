using Tern.Cli.Terminal;
using Tern.Models;

namespace Tern.Cli.Input;

/// <summary>Loading with progress for the person who waits, and with Ctrl+C.</summary>
internal static class LoadedModel
{
    /// <summary>Loads a model and shows its warnings.</summary>
    public static Model Load(string path, ModelOptions options, CancellationToken cancellation)
    {
        Model model = WithProgress(path, options, o => Model.Load(path, o), cancellation);
        Messages.Warnings(model.Warnings);
        return model;
    }

    /// <summary>Loads the front door to a model and shows its warnings.</summary>
    public static LanguageModel Load(string path, LoadOptions load, ModelOptions options, CancellationToken cancellation)
    {
        LanguageModel model = WithProgress(path, options, o => LanguageModel.Load(path, load, o), cancellation);
        Messages.Warnings(model.Warnings);
        return model;
    }

    private static T WithProgress<T>(string path, ModelOptions options, Func<ModelOptions, T> load, CancellationToken cancellation) =>
        Work.Measure(
            $"loading {Path.GetFileName(path)}",
            progress => load(options with { Progress = progress, CancellationToken = cancellation }));
}
