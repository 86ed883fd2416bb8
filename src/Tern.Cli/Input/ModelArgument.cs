using System.CommandLine;

namespace Tern.Cli.Input;

/// <summary>
/// Which model a command line means: a path, the name of a model that lies beside the program, or nothing for the default one. Where a text may
/// follow, a lone argument that is no file, folder or known name is the text.
/// </summary>
internal static class ModelArgument
{
    private const string DefaultName = "storyteller";

    private const string Extension = ".gguf";

    public static Argument<string?> Create() => new("MODEL")
    {
        Arity = ArgumentArity.ZeroOrOne,
        Description = "Path of a model file (.gguf), or the name of a model that comes with tern; left out: " + DefaultName + ".",
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
        return LooksLikePath(first) ? throw Missing(first) : (Resolve(null), first);
    }

    private static string? Find(string model)
    {
        if (File.Exists(model) || Directory.Exists(model))
            return model;

        // Whatever has a folder in it is a path and nothing else: names never leave the models folder.
        string named = Named(model);
        return Path.GetFileName(model) == model && File.Exists(named) ? named : null;
    }

    private static string Named(string name) => Path.Combine(Folder, name + Extension);

    /// <summary>A missing model should not be answered as if it were a question; a question about "and/or" is one.</summary>
    private static bool LooksLikePath(string argument) =>
        argument.EndsWith(Extension, StringComparison.OrdinalIgnoreCase)
        || (argument.IndexOfAny(['/', '\\']) >= 0 && !argument.Any(char.IsWhiteSpace));

    private static TernException Missing(string model) =>
        new(ErrorKind.File, $"{model}: file not found, and no model of that name comes with tern (known: {string.Join(", ", KnownNames())})");

    private static IEnumerable<string> KnownNames() =>
        Directory.Exists(Folder)
            ? Directory.EnumerateFiles(Folder, "*" + Extension).Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal)
            : [];
}
