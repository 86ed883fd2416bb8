using Tern.Hub;

namespace Tern.Cli.Input;

/// <summary>Names that the user gives to models.</summary>
internal static class StoreName
{
    /// <exception cref="UsageException">Not a name.</exception>
    public static ModelName Parse(string text) =>
        ModelName.TryStored(text) ?? throw new UsageException($"'{text}' is no name for a model: it takes letters, digits, dots, dashes and underscores, with an owner before a slash and a variant behind a colon if you like");
}
