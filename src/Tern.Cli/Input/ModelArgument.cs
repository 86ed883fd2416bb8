using System.CommandLine;
using Tern.Cli.Terminal;
using Tern.Hub;

namespace Tern.Cli.Input;

/// <summary>
/// Which model a command line means: a path, the name of a model that lies beside the program, a name in the store, or nothing for the default
/// one. Where a text may follow, a lone argument that is no file, folder or known name is the text.
/// </summary>
internal static class ModelArgument
{
    private const string DefaultName = "storyteller";

    private const string Extension = ".gguf";

    public static Argument<string?> Create() => new("MODEL")
    {
        Arity = ArgumentArity.ZeroOrOne,
        Description = "A model file (.gguf), the folder of a Hugging Face checkpoint, a name that 'tern list' shows, or the name of a model that comes with tern; left out: " + DefaultName + ".",
    };

    public static Argument<string?> CreateText(string name, string description) => new(name)
    {
        Arity = ArgumentArity.ZeroOrOne,
        Description = description + " A single argument that is no file, folder or known model name is taken as this.",
    };

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "models");

    /// <summary>The path that a MODEL argument means.</summary>
    /// <exception cref="TernException">No such file.</exception>
    public static string Resolve(string? model)
    {
        if (model is null)
            return Find(DefaultName) ?? throw new TernException(ErrorKind.File, $"{Named(DefaultName)}: the model that comes with tern is missing; install tern again or name a model file");
        return Find(model) ?? throw Missing(model);
    }

    /// <summary>The paths and text that the two arguments mean when either may be left out.</summary>
    public static (string Path, string? Text) Resolve(string? first, string? second)
    {
        if (first is null || second is not null || Find(first) is not null)
            return (Resolve(first), second);
        return LooksLikePath(first) || Catalog.Find(first) is not null ? throw Missing(first) : (Resolve(null), first);
    }

    /// <summary>The same, where a name of the list or owner/name that is not in the store is pulled first.</summary>
    /// <param name="first">MODEL, or the text.</param>
    /// <param name="second">The text, when there are two.</param>
    /// <param name="isOffline">Nothing is downloaded.</param>
    /// <param name="cancellation">Ends the download.</param>
    public static async Task<(string Path, string? Text)> ResolveOrPull(string? first, string? second, bool isOffline, CancellationToken cancellation)
    {
        if (first is null || Find(first) is not null || LooksLikeFile(first))
            return Resolve(first, second);

        HubSettings settings = HubSettings.FromEnvironment();
        settings = settings with { Offline = settings.Offline || isOffline };
        if (PullRequest.TryFrom(first, settings.Hub) is not { } request)
            return Resolve(first, second);

        if (settings.Offline)
            throw new TernException(ErrorKind.File, $"{first}: file not found, and no model of that name is in the store{Nearest(first)}; nothing is downloaded offline");
        Screen.Note($"{first} is not in the store: pulling it from {settings.Hub.Host}");
        ModelStore store = StoreInput.Open();
        Manifest pulled = await StoreInput.Pull(settings, store, request, cancellation);
        return (store.PathOf(new StoredModel(pulled, pulled.Main)), second);
    }

    private static string? Find(string model)
    {
        if (File.Exists(model) || Directory.Exists(model))
            return model;

        // Whatever has a folder in it is a path and nothing else: names never leave the models folder.
        string named = Named(model);
        if (Path.GetFileName(model) == model && File.Exists(named))
            return named;

        ModelStore store = StoreInput.Open();
        return store.Find(model) is { } stored ? store.PathOf(stored) : null;
    }

    private static string Named(string name) => Path.Combine(Folder, name + Extension);

    /// <summary>A missing model should not be answered as if it were a question; a question about "and/or" is one.</summary>
    private static bool LooksLikePath(string argument) =>
        argument.EndsWith(Extension, StringComparison.OrdinalIgnoreCase)
        || (argument.IndexOfAny(['/', '\\']) >= 0 && !argument.Any(char.IsWhiteSpace));

    /// <summary>What ends like a file, or stands in a folder that is here, is a file that is missing and no name on the hub.</summary>
    private static bool LooksLikeFile(string argument) =>
        (argument.EndsWith(Extension, StringComparison.OrdinalIgnoreCase) && !argument.Contains(':', StringComparison.Ordinal))
        || (argument.IndexOf('/', StringComparison.Ordinal) is > 0 and int slash && Directory.Exists(argument[..slash]));

    private static TernException Missing(string model)
    {
        bool isName = !LooksLikeFile(model) && (Catalog.Find(model) is not null || ModelName.TryRepository(model) is not null);
        string remedy = isName ? $"; 'tern pull {model}' downloads it" : "";
        return new(ErrorKind.File, $"{model}: file not found, and no model of that name comes with tern (known: {string.Join(", ", KnownNames())}) or is in the store{Nearest(model)}{remedy}");
    }

    private static string Nearest(string model) =>
        CommandLineErrors.Suggestion(model, [.. KnownNames(), .. Catalog.All.Select(e => e.Name), .. StoreInput.Names(StoreInput.Open())]);

    private static IEnumerable<string> KnownNames() =>
        Directory.Exists(Folder)
            ? Directory.EnumerateFiles(Folder, "*" + Extension).Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal)
            : [];
}
