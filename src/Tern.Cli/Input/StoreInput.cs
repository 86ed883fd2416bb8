using System.CommandLine;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Hub;

namespace Tern.Cli.Input;

/// <summary>The store of models and the hub, as the verbs use them.</summary>
internal static class StoreInput
{
    /// <summary>The store that the environment names.</summary>
    public static ModelStore Open() => new(new StoreLayout(HubSettings.StoreFolder()));

    public static Option<bool> Offline() => OptionOf.Flag("--offline", $"Download nothing ({HubEnvironment.Offline}=1 and {HubEnvironment.HuggingFaceOffline}=1 say the same).");

    /// <summary>A model of the store by any of its names.</summary>
    /// <exception cref="TernException">There is none; the message has the nearest names.</exception>
    public static StoredModel Find(ModelStore store, string name) =>
        store.Find(name) ?? throw new TernException(ErrorKind.File, $"{name}: there is no such model in the store{CommandLineErrors.Suggestion(name, Names(store))}; 'tern list' shows what is there");

    /// <summary>Every name of every model: its own, and the short one of the list.</summary>
    public static IEnumerable<string> Names(ModelStore store) => store.List(_ => { }).SelectMany(m => new[] { m.Name.ToString(), ShortName(m) }).Distinct();

    /// <summary>The shortest name that finds a model.</summary>
    public static string ShortName(Manifest model) =>
        Catalog.All.FirstOrDefault(e => e.ModelName == model.Name && (e.File is null || e.File == model.Main))?.Name ?? model.Name.ToString();

    /// <summary>A line for the person; names in it may come from the hub.</summary>
    public static void Say(string line) => Screen.Note(Messages.OneLine(line));

    /// <summary>Pulls with progress, and says what to do after Ctrl+C.</summary>
    public static async Task<Manifest> Pull(HubSettings settings, ModelStore store, PullRequest request, CancellationToken cancellation)
    {
        var progress = new TransferProgress();
        try
        {
            return await Transfer.Show(progress, () => new Puller(settings, store, progress, Say).Pull(request, cancellation));
        }
        catch (OperationCanceledException)
        {
            Screen.Note($"stopped; what was downloaded is kept: 'tern pull {request.Name}' goes on");
            throw;
        }
    }
}
